"""The kinds of metrics."""

from __future__ import annotations

import enum


class MetricTypes(enum.Enum):
    """TorchServe's three."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
