"""The server's settings as options of a command: the same names, values and mistakes."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from server.cli.server_options import LOADING, LOOKING, server_options, settings_of
from server.config.flags import flags_of
from server.config.settings import Settings


@click.command()
@server_options(*LOADING)
def told(**given: str | None) -> None:
    click.echo(str({name: value for name, value in given.items() if value is not None}))


@pytest.mark.parametrize("spelling", ["--load_timeout=3", "--load-timeout 3"])
def test_both_spellings(spelling: str) -> None:
    assert CliRunner().invoke(told, spelling.split()).output == "{'load_timeout': '3'}\n"


def test_a_switch_may_stand_alone() -> None:
    assert CliRunner().invoke(told, ["--auto_env"]).output == "{'auto_env': 'true'}\n"


def test_the_names_are_settings() -> None:
    assert {*LOADING, *LOOKING} <= {flag.name for flag in flags_of(Settings)}


def test_whatever_says_who_signs_and_what_is_confined_is_among_them() -> None:
    names = {flag.name for flag in flags_of(Settings)}
    assert {name for name in names if name.startswith("verify_")} <= {*LOADING} & {*LOOKING}
    assert {name for name in names if name.startswith("sandbox")} <= {*LOADING}


def test_what_comes_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYSERVE_MAX_MODELS", "7")
    monkeypatch.setenv("POLYSERVE_LOAD", "lazy")
    monkeypatch.setenv("STORAGE_URI", "s3://bucket/other")
    settings = settings_of(Path("here"), {"trust": "safe", "load_timeout": None})
    assert (settings.model_dir, settings.trust, settings.max_models) == (Path("here"), "safe", 7)
    assert (settings.storage_uri, settings.load) == (None, "eager"), "what names other models, or leaves some out"


def test_mistakes_are_the_servers() -> None:
    with pytest.raises(click.UsageError, match=r"--load_timeout=0: .*; --trust=sfe: must be safe, pickle or code"):
        settings_of(Path("here"), {"trust": "sfe", "load_timeout": "0"})
