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

    def __init__(self, total: int, states: Callable[[], Sequence[ModelState]]) -> None:
        self.few = total <= FEW
        self._total = total
        self._states = states
        self._start = time.monotonic()
        self._done = threading.Event()
        threading.Thread(target=self._tell, name="scan-log", daemon=True).start()

    def finish(self) -> None:
        """All were tried: log the table. One record, so that nobody's line comes between."""
        self._done.set()
        if self._total:
            log.info("%s", summary(self._states(), time.monotonic() - self._start))

    def _tell(self) -> None:
        while not self._done.wait(EVERY):
            states = [each.state for each in self._states()]
            tried, failed = len(states) - states.count(State.LOADING), states.count(State.UNAVAILABLE)
            log.info("loading: %d of %d models, %d failed", tried, len(states), failed)


def summary(models: Sequence[ModelState], seconds: float) -> str:
    """The table: every model where they are few; else the totals, and those that are not ready."""
    few = len(models) <= FEW
    shown = models if few else [each for each in models if each.state is not State.READY][:_MOST_TROUBLED]
    lines = [_totals(models, seconds), *_table([_HEAD, *map(_row, shown)])] if shown else [_totals(models, seconds)]
    bad = sum(each.state is not State.READY for each in models)
    if not few and bad > len(shown):
        lines.append(f"    and {bad - len(shown)} more that are not ready: POST /v2/repository/index lists them")
    return "\n".join(lines)


def _totals(models: Sequence[ModelState], seconds: float) -> str:
    states = [each.state for each in models]
    counts = ", ".join(f"{states.count(state)} {state.lower()}" for state in State if state in states)
    memory = sum(each.memory for each in models if each.model is not None)
    return f"{len(models)} models tried in {seconds:.1f} s: {counts}; {mebibytes(memory)}"


def _row(model: ModelState) -> tuple[str, ...]:
    state, reason = model.now
    why = " ".join(reason.split())
    why = why if len(why) <= _WIDEST else f"{why[: _WIDEST - 3]}..."
    took = f"{model.seconds:.2f}" if model.seconds else ""
    adapter = model.model.adapter.name if model.model else ""
    memory = mebibytes(model.memory) if model.memory else ""
    return model.found.name, model.found.version, adapter, took, memory, f"{state}: {why}" if why else str(state)


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Columns as wide as their widest cell; one that is empty throughout is left out."""
    columns = [cells for cells in zip(*rows, strict=True) if any(cells[1:])]
    widths = [max(map(len, cells)) for cells in columns]
    for row in zip(*columns, strict=True):
        yield "    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
