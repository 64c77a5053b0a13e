"""What is counted of requests, in plain numbers that only the event loop touches.

They travel between the processes of one server as plain values (`snapshot`), and are added up there (`merge`).

Of a request that was answered only the marks of the clock are kept, which takes it a tenth of a microsecond; they are
counted when there are many, or when somebody reads. `python -m bench.metrics` says what that comes to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from struct import Struct
from time import perf_counter as now
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.telemetry.histogram import Histogram
from server.telemetry.token_counts import TokenCounts

__all__ = ["SECONDS", "ModelMetrics", "Requests", "now"]

#: KServe's buckets are Prometheus' defaults; ours begin where a fast request ends
KSERVE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)

#: the steps of a request that KServe has histograms of
STEPS = ("preprocess", "predict", "postprocess", "explain")

#: of a request that was answered: its start, decoded, predicted, its end
_MARKS = Struct("=4d")
_pack, _SIZE = _MARKS.pack_into, _MARKS.size
#: requests of which only the marks are kept until they are counted: at first, and of a model that is asked a lot,
#: so many that numpy costs each next to nothing
_FEW, _MANY = 16, 1024

_COUNTS = (
    *("rows", "restarts", "swaps", "evictions", "failed_reloads"),
    *("payloads_sent", "payloads_dropped", "payloads_failed"),
    *("shadow_agreed", "shadow_differed", "shadow_failed", "shadow_skipped", "shadow_seconds", "served_seconds"),
)


class _Marks:
    """Of the requests that are not counted yet."""

    __slots__ = ("end", "full", "packed")

    def __init__(self) -> None:
        self.packed = bytearray(_FEW * _SIZE)
        self.end = 0  #: of what is in use
        self.full = len(self.packed)

    def take(self) -> NDArray[np.float64]:
        """float64 [requests, 4], which are forgotten here."""
        marks = np.frombuffer(self.packed[: self.end]).reshape(-1, _SIZE // 8)
        if self.end == self.full < _MANY * _SIZE:
            self.packed.extend(bytes(self.full))
            self.full *= 2
        self.end = 0
        return marks


class Requests:
    """The requests of one model and verb; `steps` take the seconds of decoding, the model and encoding."""

    def __init__(self, *steps: Histogram) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._latency: dict[str, Histogram] = {}
        self._steps = steps
        self._last = 0.0
        self.failed_seconds = 0.0  #: that requests took which ended in an error
        self._marks: dict[str, _Marks] = {}  #: by protocol

    @property
    def requests(self) -> Counter[tuple[str, int]]:
        """How many there were, by protocol and HTTP status."""
        self.settle()
        return self._requests

    @property
    def last(self) -> float:
        """When the last one ended, on the clock of `now()`, which is one for all processes; 0.0: there was none."""
        self.settle()
        return self._last

    @property
    def latency(self) -> dict[str, Histogram]:
        """The seconds they took, by protocol."""
        self.settle()
        return self._latency

    def answered(self, protocol: str, start: float, decoded: float, predicted: float, end: float) -> None:
        """A request that was answered: the marks of `now()` between its steps."""
        marks = self._marks.get(protocol)
        if marks is None:
            marks = self._marks[protocol] = _Marks()
        _pack(marks.packed, marks.end, start, decoded, predicted, end)
        marks.end += _SIZE
        if marks.end == marks.full:
            self.settle()

    def failed(self, protocol: str, status: int, seconds: float) -> None:
        """A request that ended in an error."""
        self._requests[protocol, status] += 1
        self._latency_of(protocol).observe(seconds)
        self.failed_seconds += seconds
        self._last = now()

    def settle(self) -> None:
        """Count the requests of which there are only marks yet."""
        for protocol, kept in self._marks.items():
            if not kept.end:
                continue
            marks = kept.take()
            self._requests[protocol, 200] += len(marks)
            self._last = max(self._last, float(marks[:, -1].max()))
            self._latency_of(protocol).observe_all(marks[:, -1] - marks[:, 0])
            for step, seconds in zip(self._steps, np.diff(marks).T, strict=True):
                step.observe_all(seconds)

    def snapshot(self) -> dict[str, Any]:
        """The counts as plain values, but those of the steps."""
        requests = [[protocol, status, count] for (protocol, status), count in list(self.requests.items())]
        latency = {name: each.snapshot() for name, each in list(self.latency.items())}
        return {"requests": requests, "latency": latency, "failed_seconds": self.failed_seconds, "last": self.last}

    def merge(self, snapshot: Mapping[str, Any]) -> None:
        """Add what was counted elsewhere."""
        for protocol, status, count in snapshot["requests"]:
            self._requests[protocol, status] += count
        for protocol, latency in snapshot["latency"].items():
            self._latency_of(protocol).merge(latency)
        self.failed_seconds += snapshot["failed_seconds"]
        self._last = max(self._last, snapshot["last"])

    def _latency_of(self, protocol: str) -> Histogram:
        return self._latency.setdefault(protocol, Histogram(SECONDS))


class ModelMetrics(Requests):
    """The counts of one model name, which outlive a reload: of predictions, and of explanations apart."""

    def __init__(self) -> None:
        self._times = {step: Histogram(KSERVE_SECONDS) for step in STEPS}
        super().__init__(self._times["preprocess"], self._times["predict"], self._times["postprocess"])
        self.explanations = Requests(self._times["preprocess"], self._times["explain"], self._times["postprocess"])
        self._queue = Histogram(SECONDS)
        self._waits: list[float] = []  #: that are not counted yet
        self._batch = Histogram(ROWS)
        self._sizes: list[int] = []  #: rows of calls that are not counted yet
        self.rows = 0
        self.restarts = 0  #: of its workers
        self.swaps = 0  #: one loaded model took the place of another
        self.evictions = 0  #: to make room for others in the memory budget
        self.failed_reloads = 0  #: one that was to take the place of another could not be loaded
        self.payloads_sent = 0  #: requests and answers that were logged
        self.payloads_dropped = 0  #: that were not: too many waited
        self.payloads_failed = 0  #: that were not: nobody took them
        #: of a version that runs beside another: its answers by how they compare, and the seconds of both
        self.shadow_agreed = self.shadow_differed = self.shadow_failed = self.shadow_skipped = 0
        self.shadow_seconds = self.served_seconds = 0.0
        self.tokens: TokenCounts | None = None  #: of a language model

    @property
    def generation(self) -> TokenCounts:
        """What is counted of a language model: that it is one is known from the first look on."""
        if self.tokens is None:
            self.tokens = TokenCounts()
        return self.tokens

    def restarted(self) -> None:
        """A worker died and is started again; one thread at a time."""
        self.restarts += 1

    def called(self, rows: int, waits: Iterable[float]) -> None:
        """One call of the model: its rows, and how long each of its requests waited, in seconds."""
        self.rows += rows
        self._sizes.append(rows)
        self._waits += waits
        if len(self._waits) >= _MANY:
            self.settle()

    def settle(self) -> None:
        super().settle()
        if self._waits:
            self._queue.observe_all(np.array(self._waits))
            self._waits.clear()
        if self._sizes:
            self._batch.observe_all(np.array(self._sizes, np.float64))
            self._sizes.clear()

    @property
    def histograms(self) -> dict[str, Histogram]:
        """What its requests, of both kinds together, are counted in: each of the `STEPS`, `queue` and `batch`."""
        self.settle()
        self.explanations.settle()
        return {**self._times, "queue": self._queue, "batch": self._batch}

    @property
    def has_requests(self) -> bool:
        """Whether there was a request."""
        return bool(self.requests or self.explanations.requests)

    def snapshot(self) -> dict[str, Any]:
        """All counts as plain values, for another process."""
        return {
            **super().snapshot(),
            "explanations": self.explanations.snapshot(),
            "histograms": {name: each.snapshot() for name, each in self.histograms.items()},
            "counts": {name: getattr(self, name) for name in _COUNTS},
            "tokens": self.tokens and self.tokens.snapshot(),
        }

    def merge(self, snapshot: Mapping[str, Any]) -> None:
        """Add what another process has counted of the same model."""
        super().merge(snapshot)
        self.explanations.merge(snapshot["explanations"])
        histograms = self.histograms
        for name, each in snapshot["histograms"].items():
            histograms[name].merge(each)
        for name, count in snapshot["counts"].items():
            setattr(self, name, getattr(self, name) + count)
        if snapshot["tokens"]:
            self.tokens = self.tokens or TokenCounts()
            self.tokens.merge(snapshot["tokens"])

    def verbs(self) -> dict[str, Requests]:
        """The requests by what they asked for."""
        return {"predict": self, "explain": self.explanations}
