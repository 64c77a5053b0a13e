"""Who is still at a model, and what is told of every request."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from server.inference.in_flight import InFlight, RequestObserver
from server.inference.request import InferenceRequest


def test_a_model_is_let_go_with_the_last_request() -> None:
    gone: list[str] = []
    in_flight = InFlight()
    in_flight.begin()
    in_flight.begin()
    in_flight.when_none(lambda: gone.append("now"))
    in_flight.end()
    assert not gone
    in_flight.end()
    assert gone == ["now"]


def test_one_that_nobody_uses_goes_at_once_and_once_only() -> None:
    gone: list[str] = []
    in_flight = InFlight()
    in_flight.when_none(lambda: gone.append("now"))
    in_flight.begin()
    in_flight.end()
    assert gone == ["now"]


class Counts:
    """What was counted."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def answered(self, *told: Any) -> None:
        self.told.append(told)

    def failed(self, *told: Any) -> None:
        self.told.append(told)


@pytest.fixture
def counts() -> Counts:
    return Counts()


def observer(counts: Any, log_latency: bool = False) -> RequestObserver:
    return RequestObserver(SimpleNamespace(name="iris", log_latency=log_latency), "predict", counts, InFlight())


def request() -> InferenceRequest:
    made = InferenceRequest("v1", "predict", "iris", None, [], b"")
    made.received_at, made.decoded_at, made.predicted_at = 1.0, 1.25, 3.25
    return made


@pytest.mark.parametrize("log_latency", [False, True])
def test_an_answer_is_counted_by_its_steps(counts: Counts, log_latency: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kserve.trace")
    watching = observer(counts, log_latency)
    watching.began()
    assert watching.in_flight.count == 1
    watching.answered(request(), 3.5)
    assert counts.told == [("v1", 1.0, 1.25, 3.25, 3.5)]
    assert (watching.in_flight.count, watching.in_flight.last) == (0, 3.5)
    told = "v1 iris: preprocess_ms: 250.000, predict_ms: 2000.000, postprocess_ms: 250.000"
    assert [record.message for record in caplog.records] == [told] * log_latency


@pytest.mark.parametrize("headers", [[(b"x-request-id", b"abc")], (("a", "b"), ("x-request-id", "abc"))])
def test_the_steps_tell_whose_they_are(counts: Counts, headers: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kserve.trace")
    asked = request()
    asked.headers = headers
    watching = observer(counts, log_latency=True)
    watching.began()
    watching.answered(asked, 3.5)
    (record,) = caplog.records  # what writes it puts the identifier where it belongs (`logs.identify`)
    assert record.__dict__["request_id"] == "abc"


def test_a_failure_is_counted_by_its_status_and_keeps_no_model_awake(counts: Counts) -> None:
    watching = observer(counts)
    before = watching.in_flight.last
    watching.began()
    watching.failed(request(), 504, 2.0)
    assert counts.told == [("v1", 504, 1.0)]
    assert (watching.in_flight.count, watching.in_flight.last) == (0, before)
