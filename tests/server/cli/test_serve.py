"""The server's flags as the completion knows them; the command itself is `server.__main__`'s."""

from __future__ import annotations

import click
import pytest

from server.cli.serve import serve
from server.config.flags import flags_of
from server.config.settings import Settings


def test_it_has_every_flag() -> None:
    assert [option.opts[0] for option in serve.params] == ["directory", *(flag.flag for flag in flags_of(Settings))]
    kinds = {option.name: option.type for option in serve.params}
    assert isinstance(kinds["trust"], click.Choice)
    assert isinstance(kinds["model_dir"], click.Path)
    assert kinds["model_name"] is click.STRING


def test_it_is_never_run_as_a_command() -> None:
    with pytest.raises(click.UsageError, match="serve comes first"):
        serve.callback()
