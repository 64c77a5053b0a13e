"""A histogram counts as Prometheus does, one by one and in bulk."""

from __future__ import annotations

import numpy as np

from server.telemetry.histogram import Histogram


def test_buckets_are_cumulative_and_merge() -> None:
    histogram, other = Histogram((1, 2)), Histogram((1, 2))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    other.observe(2.0)
    histogram.merge(other.snapshot())
    assert histogram.buckets() == [("1.0", 2.0), ("2.0", 4.0), ("+Inf", 5.0)]
    assert histogram.total == 14.0


def test_a_histogram_counts_many_as_it_counts_each() -> None:
    values = np.array([0, 1, 1.5, 2, 2.0000001, 5, float("inf")])
    one_by_one, together = Histogram((1, 2, 5)), Histogram((1, 2, 5))
    for value in values.tolist():
        one_by_one.observe(value)
    together.observe_all(values)
    assert one_by_one.snapshot() == together.snapshot() == [[2, 2, 2, 1], float("inf")]
