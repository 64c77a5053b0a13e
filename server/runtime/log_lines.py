"""How lines of the log look: text for people, or a JSON object a line for machines (`--log_format`).

    {"time": "2026-01-31T12:00:00.123Z", "level": "warning", "logger": "kserve", "process": 7, "message": ...,
     "model": ..., "request_id": ..., "trace_id": ..., "span_id": ..., "exception": ...}

What a line does not have, it has no field for. Of the access log: `client`, `method`, `path`, `status` as well.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import orjson

#: begins lines that are about a model, whose name (and version) is the first argument then
ABOUT_MODEL = "model %s"
_VERSION = " version "
_ACCESS = "uvicorn.access"
_TEXT = "%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(message)s"
_DETAILED = "%(asctime)s.%(msecs)03d %(process)d %(name)s %(levelname)s [%(module)s:%(lineno)d] %(message)s"
_DATE = "%Y-%m-%d %H:%M:%S"


def model_of(record: logging.LogRecord) -> str:
    """The model that a line is about; "" for none: it is said (`record.model`), or the line begins with it."""
    said = getattr(record, "model", "")
    if said:
        return str(said)
    if isinstance(record.msg, str) and record.msg.startswith(ABOUT_MODEL) and isinstance(record.args, tuple):
        return str(record.args[0]).partition(_VERSION)[0] if record.args else ""
    return ""


class TextLines(logging.Formatter):
    """A line for people; with `detailed`, which is for debugging, where in the code it was written as well."""

    def __init__(self, *, detailed: bool = False) -> None:
        super().__init__(_DETAILED if detailed else _TEXT, _DATE)


class JsonLines(logging.Formatter):
    """A JSON object a line, whatever the message holds."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": _message(record),
            **_access(record),
        }
        for name, value in (
            ("model", model_of(record)),
            ("request_id", getattr(record, "request_id", "")),
            ("trace_id", getattr(record, "trace_id", "")),
            ("span_id", getattr(record, "span_id", "")),
            ("exception", self.formatException(record.exc_info) if record.exc_info else record.exc_text or ""),
        ):
            if value:
                fields[name] = value
        try:
            return orjson.dumps(fields, default=str).decode()
        except TypeError:  # a lone surrogate, as names of files may have one, is no JSON
            return orjson.dumps({name: _legible(value) for name, value in fields.items()}, default=str).decode()


def _message(record: logging.LogRecord) -> str:
    """The message, without the identifier that text has at its end: that has a field of its own."""
    plain = getattr(record, "plain", None)
    return record.getMessage() if plain is None else str(plain)


def _legible(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _access(record: logging.LogRecord) -> dict[str, Any]:
    """What uvicorn says of a request."""
    args = record.args
    if record.name != _ACCESS or not isinstance(args, tuple) or len(args) != 5:
        return {}
    client = getattr(record, "client", args[0])
    return {"client": client, "method": args[1], "path": args[2], "status": args[4]}
