"""Refusals in OpenAI's shape."""

from __future__ import annotations

import orjson

from adapters.base import InvalidInput
from adapters.generation.refusal import RefusedJob, refusal


def test_a_refusal_names_field_and_reason() -> None:
    reply = refusal(RefusedJob("n must be at least 1", "n", "too_few"))
    assert reply.status == 400
    assert orjson.loads(reply.body)["error"] == {
        "message": "n must be at least 1", "type": "invalid_request_error", "param": "n", "code": "too_few",
    }  # fmt: skip


def test_who_finds_no_room_is_told_when_to_come_again() -> None:
    reply = refusal(RefusedJob("full", None, "queue_full", 429))
    assert (reply.status, reply.headers["retry-after"]) == (429, "1")
    assert orjson.loads(reply.body)["error"]["type"] == "rate_limit_error"


def test_any_fault_of_the_client_s_is_one() -> None:
    assert orjson.loads(refusal(InvalidInput("no")).body)["error"]["message"] == "no"
