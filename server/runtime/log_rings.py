"""The last lines of the log about each model, what its own process prints among them: for the console."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque

from server.runtime.log_lines import model_of

LINES = 200  #: of one model
MODELS = 1000  #: those that were written about last
LONGEST = 2000  #: characters of a line


class LogRings(logging.Handler):
    """Keeps the lines that say which model they are about. Thread-safe, as handlers are."""

    def __init__(self) -> None:
        super().__init__()
        self._rings: OrderedDict[str, deque[str]] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        if not (model := model_of(record)):
            return
        ring = self._rings.get(model)
        if ring is None:
            ring = self._rings[model] = deque(maxlen=LINES)
            if len(self._rings) > MODELS:
                self._rings.popitem(last=False)
        self._rings.move_to_end(model)
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        ring.append(f"{when} {record.levelname} {record.getMessage()[:LONGEST]}")

    def lines(self, model: str) -> list[str]:
        """The last lines about a model, oldest first."""
        self.acquire()
        try:
            return list(self._rings.get(model, ()))
        finally:
            self.release()
