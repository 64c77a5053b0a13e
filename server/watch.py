"""What is told of every request: it is counted, and its steps are logged where that is asked for."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import kserve

from server.counts import Requests
from server.uses import Uses

trace_log = logging.getLogger("kserve.trace")  #: where KServe writes latencies, too


@dataclass(eq=False)
class Watch:
    """The `Observer` of one model's requests for predictions, or of those for explanations."""

    model: kserve.Model
    verb: str  #: predict or explain
    counts: Requests
    uses: Uses

    def began(self) -> None:
        self.uses.begin()

    def answered(self, protocol: str, start: float, decoded: float, predicted: float, end: float) -> None:
        self.counts.answered(protocol, start, decoded, predicted, end)
        if self.model.enable_latency_logging:
            before, during, after = (f"{1000 * s:.3f}" for s in (decoded - start, predicted - decoded, end - predicted))
            steps = f"preprocess_ms: {before}, {self.verb}_ms: {during}, postprocess_ms: {after}"
            trace_log.info("%s %s: %s", protocol, self.model.name, steps)
        self.uses.last = end
        self.uses.end()

    def failed(self, protocol: str, status: int, seconds: float) -> None:
        self.counts.failed(protocol, status, seconds)
        self.uses.end()
