"""The trace and logging extensions: how requests are traced, and how much is logged, which can be changed.

Source: Triton's extension_trace.md, extension_logging.md; `log_level` is ours.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from server.codec.error_text import described
from server.errors import InvalidInput, NotSupported
from server.runtime import logs
from server.runtime.log_lines import JsonLines
from server.telemetry import trace_environ
from server.telemetry.sampling import ARGUMENT, SAMPLER, Sampling

#: logs from a level of `logging` on, in every process of the server
ChangeLevel: TypeAlias = Callable[[int], None]

#: no request is traced
_UNTRACED: dict[str, Any] = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "0",
    "log_frequency": "0",
    "trace_file": "",
    "trace_mode": "triton",
}


#: settings that are lists; others are texts
LISTS = frozenset(name for name, value in _UNTRACED.items() if isinstance(value, list))


def trace_settings(wanted: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """How requests are traced, every model's alike: not at all, or by OpenTelemetry as its variables say.

    Raises:
        InvalidInput: there is no such setting.
        NotSupported: it should be another than it is.
    """
    if not trace_environ.is_asked(environ):
        how = f"requests are not traced here: {trace_environ.ENDPOINT} at the start has them traced"
        return _unchanged("trace setting", _UNTRACED, wanted, how)
    sampling = Sampling.of(environ)
    rate = round(1 / sampling.share) if sampling.share else 0
    traced = {
        "trace_level": ["TIMESTAMPS"] if rate or sampling.follows_parent else ["OFF"],
        "trace_rate": str(rate),
        "trace_count": "-1",  # Triton's word for as many as come
        "trace_mode": "opentelemetry",
    }
    how = f"it is as {trace_environ.ENDPOINT}, {SAMPLER} and {ARGUMENT} said when the server started"
    return _unchanged("trace setting", {**_UNTRACED, **traced}, wanted, how)


_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SWITCHES = ("log_info", "log_warning", "log_error")


def log_settings(wanted: Mapping[str, Any], change: ChangeLevel = logs.set_level) -> dict[str, Any]:
    """What is logged, once the level is as wanted: `log_level`, or Triton's switches for it.

    Raises:
        InvalidInput: there is no such setting, or it cannot have such a value.
        NotSupported: what is set up when the server starts should be another than it is.
    """
    told = {name: value for name, value in wanted.items() if value is not None}  # null: as the server was started
    now = _log_now()
    fixed = {name: value for name, value in told.items() if name not in ("log_level", "log_verbose_level", *_SWITCHES)}
    how = "the log is set up when the server starts: use --log_format, or --log_config_file"
    _unchanged("log setting", now, fixed, how)
    if level := _level(now, told):
        change(level)
    return _log_now()


def _log_now() -> dict[str, Any]:
    log = logging.getLogger("kserve")
    level = log.getEffectiveLevel()
    return {
        "log_file": "",
        "log_info": level <= logging.INFO,
        "log_warning": level <= logging.WARNING,
        "log_error": level <= logging.ERROR,
        "log_verbose_level": int(level <= logging.DEBUG),
        "log_format": "json" if any(isinstance(each.formatter, JsonLines) for each in log.handlers) else "default",
        "log_level": logging.getLevelName(level).lower(),
    }


def _level(now: Mapping[str, Any], told: Mapping[str, Any]) -> int | None:
    """The level that is asked for; None: none is."""
    if (name := told.get("log_level")) is not None:
        if name not in _LEVELS:
            raise InvalidInput(f"log setting 'log_level' is one of {', '.join(_LEVELS)}, not {described(name)}")
        return _LEVELS[name]
    for switch in _SWITCHES:
        if not isinstance(told.get(switch, True), bool):
            raise InvalidInput(f"log setting {switch!r} is true or false, not {described(told[switch])}")
    verbose = told.get("log_verbose_level")
    if verbose is not None and (type(verbose) is not int or verbose < 0):
        raise InvalidInput(f"log setting 'log_verbose_level' is a number from 0 on, not {described(verbose)}")
    if verbose is None and not any(switch in told for switch in _SWITCHES):
        return None
    if verbose:
        return logging.DEBUG
    info, warning, error = (told.get(switch, now[switch]) for switch in _SWITCHES)
    if "log_info" in told and info and told.get("log_warning") is False:
        raise InvalidInput("log setting 'log_info' is true and 'log_warning' false: who logs more logs warnings, too")
    return logging.INFO if info else logging.WARNING if warning else logging.ERROR if error else logging.CRITICAL


def _unchanged(kind: str, now: dict[str, Any], wanted: Mapping[str, Any], how: str) -> dict[str, Any]:
    for name, value in wanted.items():
        if name not in now:
            raise InvalidInput(f"there is no {kind} {name!r}; there are {', '.join(now)}")
        if value is not None and value != now[name]:  # null: as the server was started
            raise NotSupported(f"{kind} {name!r} stays as it is and does not become {described(value)}: {how}")
    return now
