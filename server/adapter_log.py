"""What adapters log while they load a model, under the model's name: they do not know what it is served under."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from server.workers.child_process import printable

log = logging.getLogger("kserve")

_model: ContextVar[str] = ContextVar("model", default="")


@contextmanager
def about(model: str) -> Iterator[None]:
    """Within, in this thread, lines are about that model."""
    token = _model.set(model)
    try:
        yield
    finally:
        _model.reset(token)


class Forward(logging.Handler):
    """Writes adapters' lines where the server's go. A line may quote a model's file: it stays one line."""

    def emit(self, record: logging.LogRecord) -> None:
        if log.isEnabledFor(record.levelno):
            subject = f"model {model}: " if (model := _model.get()) else ""
            line = logging.makeLogRecord(record.__dict__)
            line.name, line.msg, line.args = log.name, subject + printable(record.getMessage()), None
            log.handle(line)


def forward(logger: str = "adapters") -> None:
    """Show the adapters' lines in the server's log; without it, Python prints the warnings bare and drops the rest."""
    adapters = logging.getLogger(logger)
    if not adapters.handlers and adapters.level == logging.NOTSET:  # else an operator has set it up
        adapters.addHandler(Forward())
        adapters.setLevel(logging.INFO)
        adapters.propagate = False
