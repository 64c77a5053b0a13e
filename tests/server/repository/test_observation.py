"""What is not asked for is not there."""

from __future__ import annotations

from server.inference.trace_tap import TraceTap
from server.repository.observation import Observation


def test_nobody_looks_on_unless_asked_for() -> None:
    observation = Observation({})
    assert not observation.taps
    observation.close()


def test_an_endpoint_asks_for_traces() -> None:
    observation = Observation({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    (tap,) = observation.taps
    assert isinstance(tap, TraceTap)
    observation.close()
