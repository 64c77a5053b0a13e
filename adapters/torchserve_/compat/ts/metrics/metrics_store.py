"""Metrics that a handler adds: written to the log at level DEBUG, as TorchServe's log mode writes them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from .dimension import Dimension
from .metric_type_enum import MetricTypes

logger = logging.getLogger("ts.metrics")


class MetricsStore:
    """What `context.metrics` is."""

    def __init__(self, request_ids: Any = None, model_name: str = "") -> None:
        self.request_ids = request_ids
        self.model_name = model_name
        self.cache: dict[str, Metric] = {}

    def add_counter(self, name: str, value: float, idx: Any = None, dimensions: Any = None) -> None:
        self._add(name, value, "count", idx, dimensions)

    def add_time(self, name: str, value: float, idx: Any = None, unit: str = "ms", dimensions: Any = None) -> None:
        self._add(name, value, unit, idx, dimensions)

    def add_size(self, name: str, value: float, idx: Any = None, unit: str = "MB", dimensions: Any = None) -> None:
        self._add(name, value, unit, idx, dimensions)

    def add_percent(self, name: str, value: float, idx: Any = None, dimensions: Any = None) -> None:
        self._add(name, value, "percent", idx, dimensions)

    def add_error(self, name: str, value: Any, dimensions: Any = None) -> None:
        self._add(name, value, "", None, dimensions)

    def add_metric(
        self,
        name: str,
        value: float,
        unit: str = "",
        idx: Any = None,
        dimensions: Any = None,
        metric_type: Any = MetricTypes.COUNTER,
        **_: Any,
    ) -> None:
        self._add(name, value, unit, idx, dimensions)

    def add_metric_to_cache(
        self,
        metric_name: str,
        unit: str = "",
        dimension_names: Iterable[str] = (),
        metric_type: Any = MetricTypes.COUNTER,
    ) -> Metric:
        self.cache[metric_name] = Metric(metric_name, unit, list(dimension_names), metric_type)
        return self.cache[metric_name]

    def get_metric(self, metric_name: str, metric_type: Any = MetricTypes.COUNTER) -> Metric:
        return self.cache.get(metric_name) or self.add_metric_to_cache(metric_name, metric_type=metric_type)

    def _add(self, name: str, value: Any, unit: str, idx: Any, dimensions: Iterable[Dimension] | None) -> None:
        logger.debug("%s.%s:%s|#%s idx=%s", name, unit, value, ",".join(map(str, dimensions or ())), idx)


class Metric:
    """A metric that a handler keeps and updates."""

    def __init__(self, metric_name: str, unit: str, dimension_names: list[str], metric_type: Any) -> None:
        self.metric_name = metric_name
        self.unit = unit
        self.dimension_names = dimension_names
        self.metric_type = metric_type

    def add_or_update(self, value: float, dimension_values: Iterable[Any] = (), request_id: str = "") -> None:
        named = zip(self.dimension_names, dimension_values, strict=False)
        logger.debug("%s.%s:%s|#%s", self.metric_name, self.unit, value, ",".join(f"{k}:{v}" for k, v in named))

    update = add_or_update
