"""`polyserve examples DIR`: small real models to try things with, one a framework. They come with the source tree."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from server.cli.main import Failure
from server.cli.screen import plain
from server.runtime.own_code import SOURCE_ROOT

_TREE = SOURCE_ROOT


class ExampleNames(click.ParamType[str]):
    """Comma-separated; the last one is completed."""

    name = "names"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """Those that begin so; none where there are no examples."""
        before, comma, last = incomplete.rpartition(",")
        try:
            known = _command().EXAMPLES
        except Failure:
            return []
        return [CompletionItem(f"{before}{comma}{name}") for name in known if name.startswith(last)]


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--only", type=ExampleNames(), metavar="NAMES", help="Some of them, comma-separated, as sklearn-iris,spacy-ner."
)
def examples(directory: Path, only: str | None) -> int:
    """Make one small real model a framework in DIR: each in a folder of its own, without a network, within a minute.

    A model that is there already is left alone; one whose framework is not installed is skipped, with what to install.
    """
    command = _command()
    try:
        chosen = [] if only is None else [f"--only={','.join(command.names_of(only))}"]
    except argparse.ArgumentTypeError as error:
        raise click.UsageError(f"--only: {plain(error)}") from error
    try:
        status: int = command.main([str(directory), *chosen])
    except OSError as error:
        raise Failure(f"{plain(directory)} cannot be written to: {error.strerror}") from error
    return status


def _command() -> Any:
    """The command of the package `examples` beside this one.

    Raises:
        Failure: this installation has none.
    """
    if not (_TREE / "examples" / "making.py").is_file():
        raise Failure("this installation has no examples: they come with the source tree (git clone, then make models)")
    if str(_TREE) not in sys.path:  # the processes that make them find it, too
        sys.path.insert(0, str(_TREE))
    return importlib.import_module("examples.__main__")
