"""A histogram in plain numbers, as Prometheus counts them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Histogram:
    """How many values were at most each of its bounds, as Prometheus counts them."""

    __slots__ = ("_edges", "bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self._edges = np.array(bounds, dtype=np.float64)

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: NDArray[np.float64]) -> None:
        """Many at once, at a hundredth of the price of each."""
        found = np.bincount(self._edges.searchsorted(values), minlength=len(self.counts))
        self.merge([found.tolist(), float(values.sum())])

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        names = [*map(str, map(float, self.bounds)), "+Inf"]
        counts, below = [], 0
        for count in self.counts:
            below += count
            counts.append(float(below))
        return list(zip(names, counts, strict=True))

    def snapshot(self) -> list[Any]:
        """The counts as plain values."""
        return [self.counts, self.total]

    def merge(self, snapshot: Sequence[Any]) -> None:
        """Add the counts of another histogram with the same bounds."""
        counts, total = snapshot
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, counts, strict=True)]
        self.total += total
