"""The trace and logging extensions: both tell how the server was started, and neither changes it.

Source: Triton's extension_trace.md, extension_logging.md.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from server.codec.error_text import described
from server.errors import InvalidInput, NotSupported

#: no request is traced
TRACE: dict[str, Any] = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "0",
    "log_frequency": "0",
    "trace_file": "",
    "trace_mode": "triton",
}


def trace_settings(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """How requests are traced: not at all.

    Raises:
        InvalidInput: there is no such setting.
        NotSupported: it should be another than it is.
    """
    how = "requests are not traced here: start the server with --enable_latency_logging for the steps of each"
    return _unchanged("trace setting", TRACE, wanted, how)


def log_settings(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is logged.

    Raises:
        InvalidInput, NotSupported: as `trace_settings`.
    """
    level = logging.getLogger("kserve").getEffectiveLevel()
    now = {
        "log_file": "",
        "log_info": level <= logging.INFO,
        "log_warning": level <= logging.WARNING,
        "log_error": level <= logging.ERROR,
        "log_verbose_level": int(level <= logging.DEBUG),
        "log_format": "default",
    }
    how = "the log is set up when the server starts: use --log_config_file"
    return _unchanged("log setting", now, wanted, how)


def _unchanged(kind: str, now: dict[str, Any], wanted: Mapping[str, Any], how: str) -> dict[str, Any]:
    for name, value in wanted.items():
        if name not in now:
            raise InvalidInput(f"there is no {kind} {name!r}; there are {', '.join(now)}")
        if value is not None and value != now[name]:  # null: as the server was started
            raise NotSupported(f"{kind} {name!r} stays as it is and does not become {described(value)}: {how}")
    return now
