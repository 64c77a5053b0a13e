"""What the processes of the server take from KServe beside its routes: cores, logging, histograms, an error."""

from __future__ import annotations

import kserve.logging
from kserve.errors import ModelNotFound
from kserve.metrics import EXPLAIN_HIST_TIME, POST_HIST_TIME, PRE_HIST_TIME, PREDICT_HIST_TIME
from kserve.utils.utils import cpu_count
from prometheus_client import REGISTRY, CollectorRegistry

from server.telemetry.metrics import Metrics

__all__ = ["ModelNotFound", "configure_logging", "cpu_count", "register"]


def configure_logging(config_file: str | None) -> None:
    """Set logging up as KServe's server does."""
    kserve.logging.configure_logging(config_file)


def register(metrics: Metrics, registry: CollectorRegistry = REGISTRY) -> None:
    """Take the place of KServe's histograms, which only its own data plane would fill."""
    for theirs in (PRE_HIST_TIME, PREDICT_HIST_TIME, POST_HIST_TIME, EXPLAIN_HIST_TIME):
        registry.unregister(theirs)
    registry.register(metrics)
