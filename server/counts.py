"""What is counted of requests, in plain numbers that only the event loop touches.

They travel between the processes of one server as plain values (`told`), and are added there (`add`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter as now
from typing import Any

__all__ = ["SECONDS", "Histogram", "ModelMetrics", "Requests", "now"]

#: KServe's buckets are Prometheus' defaults; ours begin where a fast request ends
KSERVE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)

#: the steps of a request that KServe has histograms of
STEPS = ("preprocess", "predict", "postprocess", "explain")

_COUNTS = ("rows", "restarts", "swaps", "evictions", "failed_reloads")


class Histogram:
    """Counts by bucket."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        names = [*map(str, map(float, self.bounds)), "+Inf"]
        counts, below = [], 0
        for count in self.counts:
            below += count
            counts.append(float(below))
        return list(zip(names, counts, strict=True))

    def told(self) -> list[Any]:
        """The counts as plain values."""
        return [self.counts, self.total]

    def add(self, told: Sequence[Any]) -> None:
        """Add the counts of another histogram with the same bounds."""
        counts, total = told
        self.counts = [mine + its for mine, its in zip(self.counts, counts, strict=True)]
        self.total += total


class Requests:
    """The requests of one model and verb; `steps` take the seconds of decoding, the model and encoding."""

    def __init__(self, *steps: Histogram) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.latency: dict[str, Histogram] = {}
        self._steps = [step.observe for step in steps]

    def answered(self, protocol: str, start: float, decoded: float, predicted: float, end: float) -> None:
        """A request that was answered: the marks of `now()` between its steps."""
        self.requests[protocol, 200] += 1
        preprocess, predict, postprocess = self._steps
        preprocess(decoded - start)
        predict(predicted - decoded)
        postprocess(end - predicted)
        self._latency(protocol).observe(end - start)

    def failed(self, protocol: str, status: int, seconds: float) -> None:
        """A request that ended in an error."""
        self.requests[protocol, status] += 1
        self._latency(protocol).observe(seconds)

    def told(self) -> dict[str, Any]:
        """The counts as plain values, but those of the steps."""
        requests = [[protocol, status, count] for (protocol, status), count in list(self.requests.items())]
        return {"requests": requests, "latency": {name: each.told() for name, each in list(self.latency.items())}}

    def add(self, told: Mapping[str, Any]) -> None:
        """Add what was counted elsewhere."""
        for protocol, status, count in told["requests"]:
            self.requests[protocol, status] += count
        for protocol, latency in told["latency"].items():
            self._latency(protocol).add(latency)

    def _latency(self, protocol: str) -> Histogram:
        histogram = self.latency.get(protocol)
        if histogram is None:
            histogram = self.latency[protocol] = Histogram(SECONDS)
        return histogram


class ModelMetrics(Requests):
    """The counts of one model name, which outlive a reload: of predictions, and of explanations apart."""

    def __init__(self) -> None:
        self.steps = {step: Histogram(KSERVE_SECONDS) for step in STEPS}
        super().__init__(self.steps["preprocess"], self.steps["predict"], self.steps["postprocess"])
        self.explanations = Requests(self.steps["preprocess"], self.steps["explain"], self.steps["postprocess"])
        self.queue = Histogram(SECONDS)
        self.batch = Histogram(ROWS)
        self.rows = 0
        self.restarts = 0  #: of its workers
        self.swaps = 0  #: one loaded model took the place of another
        self.evictions = 0  #: to make room for others in the memory budget
        self.failed_reloads = 0  #: one that was to take the place of another could not be loaded

    def restarted(self) -> None:
        """A worker died and is started again; one thread at a time."""
        self.restarts += 1

    def called(self, rows: int, waits: Iterable[float]) -> None:
        """One call of the model: its rows, and how long each of its requests waited, in seconds."""
        self.rows += rows
        self.batch.observe(rows)
        for wait in waits:
            self.queue.observe(wait)

    @property
    def any(self) -> bool:
        """Whether there was a request."""
        return bool(self.requests or self.explanations.requests)

    def told(self) -> dict[str, Any]:
        """All counts as plain values, for another process."""
        histograms = {**self.steps, "queue": self.queue, "batch": self.batch}
        return {
            **super().told(),
            "explanations": self.explanations.told(),
            "histograms": {name: each.told() for name, each in histograms.items()},
            "counts": {name: getattr(self, name) for name in _COUNTS},
        }

    def add(self, told: Mapping[str, Any]) -> None:
        """Add what another process has counted of the same model."""
        super().add(told)
        self.explanations.add(told["explanations"])
        histograms = {**self.steps, "queue": self.queue, "batch": self.batch}
        for name, each in told["histograms"].items():
            histograms[name].add(each)
        for name, count in told["counts"].items():
            setattr(self, name, getattr(self, name) + count)

    def verbs(self) -> dict[str, Requests]:
        """The requests by what they asked for."""
        return {"predict": self, "explain": self.explanations}
