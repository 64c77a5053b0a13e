"""Who is still at a model: it is closed when the last request that reached it is answered, and not before.

What is told of every request: it is counted, and its steps are logged where that is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from server.inference.request import InferenceRequest
from server.telemetry.counters import Requests


class InFlight:
    """Requests under way. Everything happens on the event loop."""

    __slots__ = ("_then", "count", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last = perf_counter()  #: when a request was answered last, or the model came: who evicts others asks
        self._then: Callable[[], None] | None = None

    def begin(self) -> None:
        """A request has reached the model."""
        self.count += 1

    def end(self) -> None:
        """It is answered, or nobody waits for it any more."""
        self.count -= 1
        if not self.count and self._then is not None:
            then, self._then = self._then, None
            then()

    def when_none(self, then: Callable[[], None]) -> None:
        """Call `then` once nobody uses the model, which may be now. Whoever asks sees to it that nobody comes anew."""
        if self.count:
            self._then = then
        else:
            then()


trace_log = logging.getLogger("kserve.trace")  #: where KServe writes latencies, too


class Observed(Protocol):
    """A model, as far as its observers know it."""

    name: str
    log_latency: bool  #: the steps of every request are logged


@dataclass(eq=False)
class RequestObserver:
    """The `Observer` of one model's requests for predictions, or of those for explanations."""

    model: Observed
    verb: str  #: predict or explain
    counts: Requests
    in_flight: InFlight

    def __post_init__(self) -> None:
        #: a request has begun, as `Observer` has it: nothing but that
        self.began = self.in_flight.begin

    def answered(self, request: InferenceRequest, end: float) -> None:
        start, decoded, predicted = request.received_at, request.decoded_at, request.predicted_at
        self.counts.answered(request.protocol, start, decoded, predicted, end)
        if self.model.log_latency:
            before, during, after = (f"{1000 * s:.3f}" for s in (decoded - start, predicted - decoded, end - predicted))
            steps = f"preprocess_ms: {before}, {self.verb}_ms: {during}, postprocess_ms: {after}"
            trace_log.info("%s %s: %s", request.protocol, self.model.name, steps, extra=request.log_fields)
        self.in_flight.last = end
        self.in_flight.end()

    def failed(self, request: InferenceRequest, status: int, end: float) -> None:
        self.counts.failed(request.protocol, status, end - request.received_at)
        self.in_flight.end()
