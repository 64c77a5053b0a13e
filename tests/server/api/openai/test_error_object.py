"""Errors in OpenAI's shape."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from server import errors
from server.api.openai.error_object import FieldRefused, ModelUnknown, error_answer, in_openai_shape
from server.inference.answer import Answer


def shown(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(answer.body)["error"]
    return found


def test_field_and_reason() -> None:
    answer = error_answer(FieldRefused("n is wrong", "n", "invalid_type"))
    assert answer.status == 400
    expected = {"message": "n is wrong", "type": "invalid_request_error", "param": "n", "code": "invalid_type"}
    assert shown(answer) == expected


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (ModelUnknown("no"), 404, "invalid_request_error", "model_not_found"),
        (errors.QueueFull("full"), 429, "rate_limit_error", "queue_full"),
        (errors.NotReady("asleep"), 503, "server_error", "model_not_ready"),
        (errors.ModelFailed("oh"), 500, "server_error", None),
        (errors.NotSupported("never"), 501, "not_supported_error", None),
        (errors.TooLarge("large"), 413, "invalid_request_error", None),
    ],
)
def test_statuses(error: errors.ServingError, status: int, kind: str, code: str | None) -> None:
    answer = error_answer(error)
    assert (answer.status, shown(answer)["type"], shown(answer)["code"]) == (status, kind, code)


def test_when_to_come_again_is_kept() -> None:
    assert (b"retry-after", b"1") in error_answer(errors.QueueFull("full")).headers


def test_kserve_s_shape_becomes_openai_s_and_others_stay() -> None:
    answer = in_openai_shape(Answer(413, [], b'{"error":"too large"}'))
    assert shown(answer)["message"] == "too large"
    for body in (b'{"error":{"message":"m"}}', b"no json", b"[]", b"{}"):
        assert in_openai_shape(Answer(400, [], body)).body == body
    assert in_openai_shape(Answer(200, [], b'{"error":"fine"}')).body == b'{"error":"fine"}'
