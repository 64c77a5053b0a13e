"""Texts of strangers and numbers of bytes, as messages and log lines show them."""

from __future__ import annotations

_LONGEST_SHOWN = 80  #: characters


def printable(text: str) -> str:
    """The text in one bounded line of plain characters, for a message."""
    short = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    return short if short.isprintable() else ascii(short)


def blanked(text: str) -> str:
    """The text without what would confuse a terminal or a log: a blank stands for each such character."""
    return "".join(c if c.isprintable() else " " for c in text)


def mebibytes(count: float) -> str:
    """A number of bytes beside others of its kind: 0.1 MiB, 2048.0 MiB."""
    return f"{count / 2**20:.1f} MiB"


def size(count: float) -> str:
    """A number of bytes in the unit that suits it: 12 bytes, 1.5 KiB, 2.0 GiB."""
    if count < 1024:
        return f"{count:.0f} bytes"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"
