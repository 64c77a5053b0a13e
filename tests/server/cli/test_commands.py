"""Which command lines are a command's, and which the server's."""

from __future__ import annotations

import pytest

from server.cli.commands import COMMANDS, COMPLETE, ELSEWHERE, HINTS, is_for_commands, serve_arguments


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["inspect"], ["check", "--help"], ["inspct"], ["models"]])
def test_of_commands(argv: list[str]) -> None:
    assert is_for_commands(argv, {})


@pytest.mark.parametrize(
    "argv", [[], ["--model_dir=x"], ["serve"], ["serve", "--help"], ["--model_dir", "x", "--help"]]
)
def test_of_the_server(argv: list[str]) -> None:
    assert not is_for_commands(argv, {})
    assert is_for_commands(argv, {COMPLETE: "bash_complete"})


@pytest.mark.parametrize(
    ("argv", "flags"),
    [
        ([], []),
        (["--model_dir=x"], ["--model_dir=x"]),
        (["serve"], []),
        (["serve", "--http_port", "1"], ["--http_port", "1"]),
        (["serve", "models", "--watch=false"], ["--model_dir=models", "--watch=false"]),
    ],
)
def test_the_servers_flags(argv: list[str], flags: list[str]) -> None:
    assert serve_arguments(argv) == flags


def test_no_word_is_told_twice_nor_a_command() -> None:
    assert not set(HINTS) & (set(ELSEWHERE) | set(COMMANDS))
    assert set(ELSEWHERE.values()) <= set(COMMANDS)


def test_every_command_is_where_the_table_says() -> None:
    import importlib

    for name, command in COMMANDS.items():
        module, _, attribute = command.target.partition(":")
        assert getattr(importlib.import_module(module), attribute).name == name
        assert len(command.purpose) <= 65, "it fits its line of the help"
