"""What the log says of the first scan: a line now and then while models load, and a table when all were tried."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from server.repository.state import ModelState, State
from server.text import mebibytes

log = logging.getLogger("kserve")

EVERY = 5.0  #: seconds between two lines
#: models that get a line of their own, when they are ready and in the table; of more, the table shows the troubled
FEW = 20
_MOST_TROUBLED = 20  #: lines, too
_WIDEST = 60  #: characters of a reason

_HEAD = ("name", "version", "adapter", "seconds", "memory", "state")


class ScanLog:
    """The first scan of `total` directories."""

    def __init__(self, total: int, entries: Callable[[], Sequence[ModelState]]) -> None:
        self.few = total <= FEW
        self._total = total
        self._entries = entries
        self._start = time.monotonic()
        self._done = threading.Event()
        threading.Thread(target=self._tell, name="scan-log", daemon=True).start()

    def finish(self) -> None:
        """All were tried: log the table. One record, so that nobody's line comes between."""
        self._done.set()
        if self._total:
            log.info("%s", summary(self._entries(), time.monotonic() - self._start))

    def _tell(self) -> None:
        while not self._done.wait(EVERY):
            states = [entry.state for entry in self._entries()]
            tried, failed = len(states) - states.count(State.LOADING), states.count(State.UNAVAILABLE)
            log.info("loading: %d of %d models, %d failed", tried, len(states), failed)


def summary(entries: Sequence[ModelState], seconds: float) -> str:
    """The table: every model where they are few; else the totals, and those that are not ready."""
    few = len(entries) <= FEW
    shown = entries if few else [entry for entry in entries if entry.state is not State.READY][:_MOST_TROUBLED]
    lines = [_totals(entries, seconds), *_table([_HEAD, *map(_row, shown)])] if shown else [_totals(entries, seconds)]
    bad = sum(entry.state is not State.READY for entry in entries)
    if not few and bad > len(shown):
        lines.append(f"    and {bad - len(shown)} more that are not ready: POST /v2/repository/index lists them")
    return "\n".join(lines)


def _totals(entries: Sequence[ModelState], seconds: float) -> str:
    states = [entry.state for entry in entries]
    counts = ", ".join(f"{states.count(state)} {state.lower()}" for state in State if state in states)
    memory = sum(entry.memory for entry in entries if entry.model is not None)
    return f"{len(entries)} models tried in {seconds:.1f} s: {counts}; {mebibytes(memory)}"


def _row(entry: ModelState) -> tuple[str, ...]:
    state, reason = entry.now
    why = " ".join(reason.split())
    why = why if len(why) <= _WIDEST else f"{why[: _WIDEST - 3]}..."
    took = f"{entry.seconds:.2f}" if entry.seconds else ""
    adapter = entry.model.adapter.name if entry.model else ""
    memory = mebibytes(entry.memory) if entry.memory else ""
    return entry.found.name, entry.found.version, adapter, took, memory, f"{state}: {why}" if why else str(state)


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Columns as wide as their widest cell; one that is empty throughout is left out."""
    columns = [cells for cells in zip(*rows, strict=True) if any(cells[1:])]
    widths = [max(map(len, cells)) for cells in columns]
    for row in zip(*columns, strict=True):
        yield "    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
