"""What is logged before KServe has set up logging, and what adapters log.

KServe sets up logging once it is imported. Models are found, downloaded and tried meanwhile, and what is said of them
must not get lost.

What adapters log while they load a model, under the model's name: they do not know what it is served under.

For whom a line is logged: lines of a request that has an identifier (`x-request-id`) end, or begin, with it.

And how much is logged: `set_level`, also while the server runs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from server.runtime.log_lines import model_of
from server.text import blanked

log = logging.getLogger("kserve")


@contextmanager
def kept(lowest: int = logging.INFO) -> Iterator[None]:
    """Within, lines from this level on are kept; at the end they go where, and as far as, logging was set up to.

    They are kept by a filter: KServe sets up no logging where its logger has a handler already.
    """
    records: list[logging.LogRecord] = []
    level = log.level

    def keep(record: logging.LogRecord) -> bool:
        records.append(record)
        return False

    log.addFilter(keep)
    log.setLevel(lowest)
    try:
        yield
    finally:
        log.removeFilter(keep)
        if not log.handlers:  # nobody has set it up
            log.setLevel(level)
        for record in records:
            if log.isEnabledFor(record.levelno):
                log.handle(record)


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
            line = logging.makeLogRecord({**record.__dict__, "model": model})
            line.name, line.msg, line.args = log.name, subject + blanked(record.getMessage()), None
            log.handle(line)


#: whose lines are forwarded: in a wheel, ours stand inside a package of our own
_ADAPTERS = f"{__name__.rpartition('server.')[0]}adapters"


def forward(logger: str = _ADAPTERS) -> None:
    """Show the adapters' lines in the server's log; without it, Python prints the warnings bare and drops the rest."""
    adapters = logging.getLogger(logger)
    if not adapters.handlers and adapters.level == logging.NOTSET:  # else an operator has set it up
        adapters.addHandler(Forward())
        adapters.setLevel(logging.INFO)
        adapters.propagate = False


def set_level(level: int) -> None:
    """Log from this level on, adapters' lines included; what uvicorn says of itself is for debugging."""
    log.setLevel(level)
    logging.getLogger("kserve.trace").setLevel(min(level, logging.INFO))  # latencies, which were asked for
    logging.getLogger("uvicorn.error").setLevel(level if level < logging.INFO else max(level, logging.WARNING))
    adapters = logging.getLogger(_ADAPTERS)
    if any(isinstance(each, Forward) for each in adapters.handlers):
        adapters.setLevel(level)


#: the identifier of the request that the running task answers
request_id: ContextVar[str] = ContextVar("request_id", default="")
#: `trace_id` and `span_id` of that request, where it is traced
trace: ContextVar[Mapping[str, str] | None] = ContextVar("trace", default=None)
_ACCESS, _ACCESS_FIELDS = "uvicorn.access", 5
#: whose lines are about requests
_OF_REQUESTS = ("kserve", "kserve.trace", _ACCESS, "uvicorn.error")


def identify() -> None:
    """From now on lines about a request tell its identifier. Filters stay when logging is set up again."""
    for name in _OF_REQUESTS:
        logging.getLogger(name).addFilter(_with_request_id)


def _with_request_id(record: logging.LogRecord) -> bool:
    if record.name == _ACCESS and isinstance(record.args, tuple) and len(record.args) == _ACCESS_FIELDS:
        client, method, path, *rest = record.args  # uvicorn quotes the colon of every prediction
        record.args = (client, method, str(path).replace("%3A", ":"), *rest)
    said: str | None = getattr(record, "request_id", None)
    known = request_id.get() if said is None else said
    if not known or hasattr(record, "plain"):  # it has been here: on its way from one logger to the next
        return True
    plain = record.getMessage()
    record.request_id, record.plain = known, plain
    if said is None:
        record.__dict__.update(trace.get() or {})
    if record.name == _ACCESS and isinstance(record.args, tuple) and record.args:
        record.client = record.args[0]
        record.args = (f"{record.args[0]} [{known}]", *record.args[1:])  # which its formatter takes, not the line
    else:
        record.model = model_of(record)
        record.msg, record.args = f"{plain} [x-request-id {known}]", None
    return True
