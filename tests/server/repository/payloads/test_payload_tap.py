"""What is logged of requests: the share, the kinds and the headers that the operator wants, and no secret."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from server.errors import InvalidInput
from server.inference.answer import JSON_HEADERS, Answer
from server.inference.request import InferenceRequest
from server.inference.taps import JobRequest, SeenParts, Streamed
from server.repository.payloads import payload_tap
from server.repository.payloads.payload import PROTOBUF, Payload
from server.repository.payloads.payload_tap import PayloadTap

MODEL: Any = SimpleNamespace(name="iris", version="3")
HEADERS = ((b"authorization", b"Bearer secret"), (b"x-request-id", b"abc"), (b"x-tenant", b"a"))


def asked(protocol: str = "v1", headers: Any = HEADERS) -> InferenceRequest:
    return InferenceRequest(protocol, "predict", "iris", None, headers, b'{"instances": []}')


def test_a_request_and_its_answer_have_one_id() -> None:
    put: list[Payload] = []
    seen = PayloadTap(put.append, headers=("X-Tenant",))(MODEL, asked())
    assert seen is not None
    seen(Answer(200, JSON_HEADERS, b'{"predictions": []}'))
    request, answer = put
    assert (request.kind, request.id, request.body) == ("request", "abc", b'{"instances": []}')
    assert (answer.kind, answer.id, answer.body, answer.status) == ("response", "abc", b'{"predictions": []}', 200)
    assert request.metadata == answer.metadata == {"x-tenant": "a"}
    assert "secret" not in repr(put)


def test_without_an_id_one_is_made_for_both() -> None:
    put: list[Payload] = []
    seen = PayloadTap(put.append)(MODEL, asked(headers=()))
    assert seen is not None
    seen(InvalidInput("it has 1 column"))
    request, answer = put
    assert request.id == answer.id != ""
    assert (answer.status, answer.body) == (400, b'{"error":"it has 1 column"}')
    assert request.metadata is None


def test_one_kind_alone() -> None:
    put: list[Payload] = []
    assert PayloadTap(put.append, kinds=("request",))(MODEL, asked()) is None
    seen = PayloadTap(put.append, kinds=("response",))(MODEL, asked())
    assert seen is not None
    seen(Answer(200, [], b"{}"))
    assert [each.kind for each in put] == ["request", "response"]


def test_over_grpc_bodies_are_messages_and_errors_are_not() -> None:
    put: list[Payload] = []
    for outcome in (Answer(200, [], b""), InvalidInput("no")):
        seen = PayloadTap(put.append)(MODEL, asked("grpc", [("x-request-id", "abc")]))
        assert seen is not None
        seen(outcome)
    assert [each.content_type for each in put] == [PROTOBUF, PROTOBUF, PROTOBUF, "application/json"]
    assert {each.id for each in put} == {"abc"}


def test_the_identifier_of_an_event_is_kept_as_kserves_logger_does() -> None:
    put: list[Payload] = []
    PayloadTap(put.append)(MODEL, asked(headers=((b"Ce-Id", b"7"), *HEADERS)))
    assert [each.id for each in put] == ["7"]


def test_an_answer_in_parts_is_logged_once_it_has_ended() -> None:
    put: list[Payload] = []
    tap = PayloadTap(put.append)
    seen = tap(MODEL, asked())
    assert isinstance(seen, SeenParts)
    seen.part(b"1")
    seen.part(b"2")
    assert [each.kind for each in put] == ["request"]
    assert tap.kept > 0
    seen(Streamed(499))
    answer = put[-1]
    assert (answer.kind, answer.id, answer.status, answer.parts) == ("response", "abc", 499, [b"1", b"2"])
    assert tap.kept == 0


def test_parts_that_are_too_many_are_given_up_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_tap, "MOST_PARTS", 120)
    put: list[Payload] = []
    dropped: list[tuple[str, str]] = []
    tap = PayloadTap(put.append, kinds=("response",), drop=lambda *which: dropped.append(which))
    first, other = tap(MODEL, asked()), tap(MODEL, asked())
    assert isinstance(first, SeenParts)
    assert isinstance(other, SeenParts)
    first.part(b"1")
    for _ in range(3):
        other.part(b"2")
    first.part(b"3")  # there is room again
    other(Streamed(200))
    assert (put, dropped) == ([], [("iris", "3")])
    first(Streamed(200))
    assert [each.parts for each in put] == [[b"1", b"3"]]
    assert tap.kept == 0


def test_of_a_job_the_clients_own_body_and_answer_are_logged() -> None:
    put: list[Payload] = []
    request = JobRequest("generation", "chat", "m", None, HEADERS, b"the job", sent=b"{}")
    assert PayloadTap(put.append)(MODEL, request) is None
    request.shown(Answer(200, JSON_HEADERS, b'{"choices": []}'))
    assert [(each.kind, each.protocol, each.body) for each in put] == [
        ("request", "openai", b"{}"),
        ("response", "openai", b'{"choices": []}'),
    ]


def test_a_share_of_them() -> None:
    put: list[Payload] = []
    state = random.getstate()
    try:
        random.seed(1)
        tap = PayloadTap(put.append, share=0.1)
        for _ in range(5000):
            tap(MODEL, asked())
    finally:
        random.setstate(state)
    assert 400 < len(put) < 600
    assert PayloadTap(put.append, share=0.0)(MODEL, asked()) is None
