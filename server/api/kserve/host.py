"""What the processes of the server take from KServe beside its routes: cores, logging, histograms, an error."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import kserve.logging
from kserve.errors import ModelNotFound
from kserve.metrics import EXPLAIN_HIST_TIME, POST_HIST_TIME, PRE_HIST_TIME, PREDICT_HIST_TIME
from kserve.utils.utils import cpu_count
from prometheus_client import REGISTRY, CollectorRegistry

from server.config.settings import Settings
from server.runtime import logs
from server.runtime.log_lines import JsonLines, TextLines
from server.telemetry.metrics import Metrics

__all__ = ["ModelNotFound", "configure_logging", "cpu_count", "register", "wanted_level"]

_KSERVE = f"{Path(kserve.logging.__file__).parent}{os.sep}"
#: whose lines have the form of ours; the access log of uvicorn keeps its own, unless it is JSON
_OURS, _ACCESS = ("kserve", "kserve.trace", "uvicorn"), "uvicorn.access"


def configure_logging(settings: Settings) -> None:
    """Set logging up as KServe's server does, in the form and from the level that the settings say.

    A configuration of the operator's own stays as it is, but for the level where one is told.
    """
    if not settings.configure_logging:
        return
    kserve.logging.configure_logging(settings.log_config_file)
    level = wanted_level(settings)
    if settings.log_config_file is None:
        _shape(settings.log_format, level)
    if settings.log_config_file is None or settings.log_level is not None:
        logs.set_level(level)


def wanted_level(settings: Settings) -> int:
    """The level to log from: as it is told, else KServe's variable for it, which is INFO by default."""
    name = (settings.log_level or kserve.logging.KSERVE_LOGLEVEL or "info").upper()
    return logging.getLevelNamesMapping().get(name, logging.INFO)


def _shape(form: str, level: int) -> None:
    lines = JsonLines() if form == "json" else TextLines(detailed=level <= logging.DEBUG)
    for name in (*_OURS, *([_ACCESS] if form == "json" else [])):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(lines)
    logging.getLogger("kserve").addFilter(_tells_something)


def _tells_something(record: logging.LogRecord) -> bool:
    """Whether a line is ours, a warning, or wanted for debugging: KServe tells what it does not do, too."""
    if record.levelno > logging.INFO or not record.pathname.startswith(_KSERVE):
        return True
    return logging.getLogger("kserve").isEnabledFor(logging.DEBUG)


def register(metrics: Metrics, registry: CollectorRegistry = REGISTRY) -> None:
    """Take the place of KServe's histograms, which only its own data plane would fill."""
    for theirs in (PRE_HIST_TIME, PREDICT_HIST_TIME, POST_HIST_TIME, EXPLAIN_HIST_TIME):
        registry.unregister(theirs)
    registry.register(metrics)
