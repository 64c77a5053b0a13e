"""Answers are put into a page where they differ; what is right stays as it is written."""

from __future__ import annotations

from tests.docs.pages import Command, steps
from tests.docs.write import pretty, rewritten

PAGE = "a\n```console\n$ one\n?\n$ two\nin ... s\n$ three\n```\n```json\n?\n?\n```\nb\n"


def test_answers_are_put_in() -> None:
    commands = [step for step in steps(PAGE) if isinstance(step, Command)]
    came = ["1\n2\n", "in 3.5 s\n", '{"b":1}\n']
    page = rewritten(PAGE, [(command.answer, text) for command, text in zip(commands, came, strict=True)])
    assert page == 'a\n```console\n$ one\n1\n2\n$ two\nin ... s\n$ three\n```\n```json\n{"b": 1}\n```\nb\n'


def test_long_json_takes_lines() -> None:
    text = pretty({"name": "x" * 60, "rows": [[1, 2], ["y" * 110]]})
    assert text.splitlines()[:3] == ["{", f'  "name": "{"x" * 60}",', '  "rows": [']
    assert text.splitlines()[3:5] == ["    [1, 2],", "    ["]
