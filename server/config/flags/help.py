"""The manual of a table of settings: for the terminal, and as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from server.config.flags.table import Flag, flags_of

_WIDTH = 80
_INDENT = " " * 6


def help_text(table: type[Any], about: str) -> str:
    """Every group of settings: flag, meaning, environment variable and default, at most 80 columns wide."""
    lines = [textwrap.fill(about, _WIDTH)]
    for group, flags in groupby(flags_of(table), key=lambda flag: flag.group):
        lines += ["", f"{group}:", *(line for flag in flags for line in _help_of(flag))]
    return "\n".join(lines) + "\n"


def _help_of(flag: Flag) -> Iterator[str]:
    yield f"  {flag.usage}"
    yield textwrap.fill(flag.meaning, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False)
    yield f"{_INDENT}[{flag.env}, default: {flag.default_text}]"


def markdown(table: type[Any]) -> str:
    """The same as Markdown: a heading and a table for each group."""
    parts = []
    for group, flags in groupby(flags_of(table), key=lambda flag: flag.group):
        rows = [_row_of(flag) for flag in flags]
        head = ["| Flag | Environment variable | Default | Meaning |", "| --- | --- | --- | --- |"]
        parts.append("\n".join([f"### {group}", "", *head, *rows]))
    return "\n\n".join(parts) + "\n"


def _row_of(flag: Flag) -> str:
    cells = (f"`{flag.usage}`", f"`{flag.env}`", flag.default_text, flag.meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
