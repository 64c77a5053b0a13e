"""What a person sees: tables, colours where a terminal shows them, and progress where it waits.

Colours are for terminals alone, and never where NO_COLOR is set (https://no-color.org). Progress goes to standard
error, and only where that is a terminal: logs and pipes stay clean.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

import click

from server.text import blanked

_FEWEST_COLUMNS = 40
_TICK = 0.1  #: seconds between two pictures of the progress
_PATIENCE = 0.3  #: seconds before it is shown at all
_FRAMES = "|/-\\"
_ERASE = "\r\x1b[K"  #: the line that the cursor is in


def has_colours(stream: IO[str] | None = None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether to write colours there (standard output)."""
    target = stream or sys.stdout
    return target.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def paint(text: str, colour: str, *, bold: bool | None = None) -> str:
    """The text in that colour, where standard output shows colours."""
    return click.style(text, fg=colour, bold=bold) if text and has_colours() else text


def plain(text: object) -> str:
    """A stranger's text on one line, without what would steer a terminal."""
    return " ".join(blanked(str(text)).split())


def say(line: str = "") -> None:
    """A line on standard output."""
    print(line)


def width_of_terminal(stream: IO[str] | None = None) -> int | None:
    """Columns of the terminal that standard output is; None: it is none, and lines may be as long as they like."""
    target = stream or sys.stdout
    if not target.isatty():
        return None
    return max(_FEWEST_COLUMNS, shutil.get_terminal_size().columns)


def width(text: str) -> int:
    """Columns that a text without colours takes."""
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) != 0 for each in text)


def cut(text: str, columns: int) -> str:
    """The text in so many columns."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> list[str]:
    """Lines of a table; columns of `numbers` are flushed right, empty ones left out, the last cut at the terminal."""
    kept = [place for place in range(len(head)) if any(row[place] for row in rows)]
    cells = [[plain(row[place]) for place in kept] for row in (head, *rows)]
    widths = [max(width(row[place]) for row in cells) for place in range(len(kept))]
    right = {kept.index(place) for place in numbers if place in kept}
    limit = width_of_terminal()
    lines = []
    for row in cells:
        shown = [_padded(cell, widths[place], right=place in right) for place, cell in enumerate(row)]
        line = "  ".join(shown).rstrip()
        lines.append(line if limit is None else cut(line, limit))
    return [paint(lines[0], "bright_black", bold=True), *lines[1:]]


def _padded(text: str, columns: int, *, right: bool) -> str:
    space = " " * (columns - width(text))
    return space + text if right else text + space


class Progress:
    """What is waited for now, in one line that comes and goes. To be changed from any thread."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._over = threading.Event()
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._shown = False

    def show(self) -> None:
        """Until it is over; to be run by a thread."""
        frame = 0
        pause = _PATIENCE
        while not self._over.wait(pause):
            seconds = time.monotonic() - self._start
            line = f"{_FRAMES[frame % len(_FRAMES)]} {plain(self.what)} ({seconds:.0f} s)"
            with self._lock:
                sys.stderr.write(f"{_ERASE}{cut(line, shutil.get_terminal_size().columns - 1)}")
                sys.stderr.flush()
                self._shown = True
            frame, pause = frame + 1, _TICK
        self._hide()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Within, other lines may be written."""
        self._hide()
        with self._lock:
            yield
            sys.stdout.flush()

    def end(self) -> None:
        self._over.set()

    def _hide(self) -> None:
        with self._lock:
            if self._shown:
                sys.stderr.write(_ERASE)
                sys.stderr.flush()
                self._shown = False


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """Within, a terminal shows what is waited for, and for how long."""
    shown = Progress(what)
    thread = threading.Thread(target=shown.show, name="progress", daemon=True) if sys.stderr.isatty() else None
    if thread is not None:
        thread.start()
    try:
        yield shown
    finally:
        shown.end()
        if thread is not None:
            thread.join()


def broken_pipe() -> None:
    """Nobody reads standard output any more: what is still to be written there goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def as_json(document: Any) -> str:
    """A document for programs, which people can read."""
    import json

    return json.dumps(document, indent=2, ensure_ascii=False, default=str)


@contextmanager
def output_of_ours_alone() -> Iterator[None]:
    """Within, what libraries and child processes write to standard output goes to standard error."""
    try:
        real = sys.stdout.fileno() == 1
    except (OSError, ValueError):  # somebody has put something else in its place
        real = False
    if not real:
        yield
        return
    sys.stdout.flush()
    before, ours = sys.stdout, os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors="replace")
    os.dup2(2, 1)
    sys.stdout = ours
    try:
        yield
    finally:
        ours.flush()
        os.dup2(ours.fileno(), 1)
        sys.stdout = before
        ours.close()
