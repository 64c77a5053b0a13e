"""Bodies of responses: the job that they are, and what is refused by its name."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from server.api.openai.error_object import FieldRefused
from server.api.openai.request_fields import read_request
from server.api.openai.response_fields import ResponseRequest

SCHEMA = {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}
NOW = {"type": "function", "name": "now", "description": "the time", "strict": None}


def response(**fields: Any) -> ResponseRequest:
    return read_request(orjson.dumps({"model": "m", "input": "hello", **fields}), ResponseRequest)


def test_the_job_of_a_response() -> None:
    asked = response(instructions="be brief", max_output_tokens=5, temperature=0.5, seed=1, stream=True, user="me")
    job = {name: value for name, value in asked.job().items() if value is not None}
    assert job == {
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
        "max_tokens": 5,
        "temperature": 0.5,
        "seed": 1,
        "stream": True,
    }


def test_forms_tools_and_logprobs() -> None:
    job = response(text={"format": SCHEMA}, tools=[NOW], tool_choice={"type": "function", "name": "now"}).job()
    assert job["grammar"] == {"kind": "json_schema", "value": {"type": "object"}, "field": "text.format.schema"}
    assert job["tools"] == [{"type": "function", "function": {"name": "now", "description": "the time"}}]
    assert job["tool_choice"] == {"name": "now"}
    assert response(text={"format": {"type": "json_object"}}).job()["grammar"]["kind"] == "json_object"
    assert response(text={"format": {"type": "text"}}).job()["grammar"] is None
    assert response(reasoning={"effort": "low", "summary": "auto"}).job()["reasoning"] == {"effort": "low"}
    assert response(include=["message.output_text.logprobs"]).job()["logprobs"] == 0
    assert response(include=["message.output_text.logprobs"], top_logprobs=3).job()["logprobs"] == 3


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"store": True}, "store", "unsupported_parameter"),
        ({"previous_response_id": "r"}, "previous_response_id", "unsupported_parameter"),
        ({"conversation": "c"}, "conversation", "unsupported_parameter"),
        ({"prompt": {"id": "p"}}, "prompt", "unsupported_parameter"),
        ({"background": True}, "background", "invalid_type"),
        ({"truncation": "auto"}, "truncation", "invalid_type"),
        ({"max_tokens": 5}, "max_tokens", "unknown_parameter"),
        ({"max_output_tokens": 0}, "max_output_tokens", "invalid_type"),
        ({"top_logprobs": 2}, "top_logprobs", None),
        ({"tools": [{"type": "web_search"}]}, "tools", "unsupported_parameter"),
        ({"tools": [{"type": "function"}]}, "tools", None),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice", "unsupported_parameter"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text", None),
        ({"input": [{"type": "reasoning"}]}, "input", None),
        ({"reasoning": {"effort": "huge"}}, "reasoning", "invalid_type"),
        ({"reasoning": {"summary": "detailed"}}, "reasoning", "invalid_type"),
        ({"reasoning": {"max_tokens": 5}}, "reasoning", "invalid_type"),
        ({"input": 5}, "input", "invalid_type"),
        ({"include": ["file_search_call.results"]}, "include", "invalid_type"),
    ],
)
def test_refusals(fields: dict[str, Any], param: str, code: str | None) -> None:
    with pytest.raises(FieldRefused) as caught:
        response(**fields)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert param in str(caught.value)


def test_what_is_harmless_is_taken() -> None:
    response(store=False, metadata={"a": "b"}, truncation="disabled", background=False, service_tier="auto")
