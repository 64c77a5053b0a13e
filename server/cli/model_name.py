"""The argument that is a model's name. Shells complete it: of the folder that is named, or the server that runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from server.cli.main import Failure
from server.cli.screen import plain
from server.cli.server_client import DEFAULT_URL, RunningServer

#: /v1/models/NAME:predict, or a part of it
_ROUTE = re.compile(r"((?:/?v[12]/models/)?)([^/:]+)((?::(?:predict|explain)|/infer|/generate)?)")
_TIMEOUT = 1.0  #: seconds: somebody waits with a finger on the key


class ModelName(click.ParamType[str]):
    """A model of `--dir`, or of the server at `--url`."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if "://" in value:
            raise click.UsageError(f"{plain(value)} is an address, not a model's name: write NAME --url={plain(value)}")
        if (route := _ROUTE.fullmatch(value)) and route[1] + route[3]:
            raise click.UsageError(f"{plain(value)} is a route: name the model alone, {plain(route[2])}")
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """Those that begin so; none where nobody answers."""
        names = _names(ctx.params.get("directory"), ctx.params.get("url"), ctx.params.get("headers") or ())
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _names(directory: Path | None, url: str | None, headers: Sequence[str]) -> list[str]:
    try:
        if directory is not None:
            return sorted(each.name for each in directory.iterdir() if each.is_dir() and each.name[0] != ".")
        server = replace(RunningServer.at(url or DEFAULT_URL, headers), timeout=_TIMEOUT)
        return sorted(server.names() or ())
    except (Failure, click.UsageError, OSError):
        return []
