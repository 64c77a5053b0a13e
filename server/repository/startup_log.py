"""What the log says of the first scan: a line now and then while many models load, and one when all were tried.

Each model has had a line of its own by then: that it is ready, or the reason why not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from server.repository.state import ModelState, State
from server.text import mebibytes

log = logging.getLogger("kserve")

EVERY = 5.0  #: seconds between two lines
#: models that get a line of their own when they are ready; of more, those in trouble
FEW = 20
_MOST_NAMED = 10


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
        """All were tried: log how that went."""
        self._done.set()
        if self._total:
            log.info("%s", summary(self._states(), time.monotonic() - self._start))

    def _tell(self) -> None:
        level = logging.DEBUG if self.few else logging.INFO
        while not self._done.wait(EVERY):
            states = [each.state for each in self._states()]
            tried, failed = len(states) - states.count(State.LOADING), states.count(State.UNAVAILABLE)
            log.log(level, "loading: %d of %d models, %d failed", tried, len(states), failed)


def summary(models: Sequence[ModelState], seconds: float) -> str:
    """One line: the totals, and who is not ready."""
    states = [each.state for each in models]
    counts = ", ".join(f"{states.count(state)} {state.lower()}" for state in State if state in states)
    memory = sum(each.memory for each in models if each.model is not None)
    tried = f"{len(models)} {'model' if len(models) == 1 else 'models'} tried"
    return f"{tried} in {seconds:.1f} s: {counts}; {mebibytes(memory)}{_missing(models)}"


def _missing(models: Sequence[ModelState]) -> str:
    failed = [each.label for each in models if each.now[0] is State.UNAVAILABLE]
    if not failed:
        return ""
    more = len(failed) - _MOST_NAMED
    named = ", ".join(failed[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"; not served: {named} (POST /v2/repository/index tells why)"
