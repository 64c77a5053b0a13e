"""Prometheus metrics of one model, with their label children looked up once.

KServe's histograms keep their names: `request_preprocess_seconds` is decoding, `request_predict_seconds` waiting and
predicting, `request_postprocess_seconds` encoding.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from kserve.metrics import POST_HIST_TIME, PRE_HIST_TIME, PREDICT_HIST_TIME, get_labels


class ModelMetrics:
    """Times the three steps of each request of one model."""

    def __init__(self, model: str) -> None:
        labels = get_labels(model)
        self._steps: list[Any] = [
            histogram.labels(**labels).observe for histogram in (PRE_HIST_TIME, PREDICT_HIST_TIME, POST_HIST_TIME)
        ]

    def observe(self, *marks: float) -> None:
        """Record the steps between consecutive marks of `perf_counter`."""
        for step, start, end in zip(self._steps, marks, marks[1:], strict=False):
            step(end - start)


now = perf_counter
