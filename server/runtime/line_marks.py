"""Whose request a line is about that a model prints in its process: told with the line, taken off again by the parent.

    in the worker: print("slow")    on its way: RS request-id SP traceparent US "slow"    in the log: slow, with both

The owner is the request that the running task answers, so that whatever user code writes by (print, logging, a library)
need not know of it. What threads of its own and C code print has no owner.
"""

from __future__ import annotations

import io
import re
import sys
from contextvars import ContextVar
from typing import Any, NamedTuple

_BEGIN, _END = "\x1e", "\x1f"
#: user code may write such a mark itself, so it is read with as much care as its line
_MARK = re.compile(rb"\x1e([!-~]{1,128})?(?: ([0-9a-f-]{55,64}))?\x1f")

_mark: ContextVar[str] = ContextVar("line_mark", default="")


class Owned(NamedTuple):
    """A line without its marks, and whose it is: "" where nobody knows."""

    line: bytes
    request_id: str = ""
    traceparent: str = ""


def own_lines(request_id: str, traceparent: str) -> None:
    """From now on what this task prints is of that request."""
    mark = f"{_BEGIN}{request_id}{f' {traceparent}' if traceparent else ''}{_END}"
    is_one = (request_id or traceparent) and _MARK.fullmatch(mark.encode("utf-8", "replace"))
    _mark.set(mark if is_one else "")


def mark_output() -> None:
    """Have this process mark what it prints; before anybody holds its standard streams."""
    for name in ("stdout", "stderr"):
        setattr(sys, name, MarkedLines(getattr(sys, name)))


class MarkedLines(io.TextIOWrapper):
    """Standard output or error; a line that begins while a request is answered begins with its mark."""

    def __init__(self, stream: Any) -> None:
        """Writes where that one does, which stays usable, and is kept: it would close what both write to."""
        self._beside = stream
        super().__init__(stream.buffer, stream.encoding, stream.errors, write_through=True)
        self._begins = True

    def write(self, text: str) -> int:
        """`io.TextIOWrapper.write`"""
        mark, begins = _mark.get(), self._begins
        if not text:
            return 0
        self._begins = text.endswith("\n")
        if mark:
            first, *others = text.removesuffix("\n").split("\n")
            lines = [(mark if begins else "") + first, *(mark + each for each in others)]
            super().write("\n".join(lines) + ("\n" if self._begins else ""))
        else:
            super().write(text)
        return len(text)


def owned(line: bytes) -> Owned:
    """A line as it was printed, and whose it is."""
    found = _MARK.search(line)
    if found is None:
        return Owned(line)
    return Owned(unmarked(line), *(each.decode() if each else "" for each in found.groups()))


def unmarked(printed: bytes) -> bytes:
    """What was printed, without marks."""
    return _MARK.sub(b"", printed)
