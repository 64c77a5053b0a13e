"""Bodies of chats and completions: what is taken, what it becomes, and what is refused by which name."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from server.api.openai.error_object import FieldRefused
from server.api.openai.request_fields import ChatRequest, CompletionRequest, OpenAIRequest, packed, read_request
from server.api.openai.response_fields import ResponseRequest
from server.errors import InvalidInput

HELLO = [{"role": "user", "content": "hello"}]


def chat(**fields: Any) -> ChatRequest:
    return read_request(orjson.dumps({"model": "m", "messages": HELLO, **fields}), ChatRequest)


def completion(**fields: Any) -> CompletionRequest:
    return read_request(orjson.dumps({"model": "m", "prompt": "one", **fields}), CompletionRequest)


def job(request: ChatRequest | CompletionRequest) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(packed(request.job()))
    return {name: value for name, value in found.items() if value is not None}


def test_the_least_there_is() -> None:
    assert job(chat()) == {"messages": HELLO}
    assert job(completion()) == {"prompt": "one"}


def test_the_newer_budget_wins() -> None:
    assert job(chat(max_tokens=3))["max_tokens"] == 3
    assert job(chat(max_tokens=3, max_completion_tokens=5))["max_tokens"] == 5


def test_logprobs() -> None:
    assert job(chat(logprobs=True, top_logprobs=2))["logprobs"] == 2
    assert job(chat(logprobs=True))["logprobs"] == 0
    assert "logprobs" not in job(chat(logprobs=False))
    assert job(completion(logprobs=0))["logprobs"] == 0


def test_how_many_texts_there_will_be() -> None:
    assert completion().count == 1
    assert completion(prompt=["a", "b"], n=3).count == 6
    assert completion(prompt=[1, 2], n=2).count == 2
    assert completion(prompt=[[1], [2]]).count == 2


def test_null_counts_as_absent() -> None:
    assert job(chat(temperature=None, tools=None, response_format=None)) == {"messages": HELLO}


def test_what_changes_no_text_is_taken() -> None:
    taken = {
        "user": "me",
        "metadata": {"a": "b"},
        "store": False,
        "service_tier": "auto",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "modalities": ["text"],
        "verbosity": "medium",
    }
    assert job(chat(**taken)) == {"messages": HELLO}
    assert job(completion(user="me", best_of=2, n=2, suffix="")) == {"prompt": "one", "n": 2}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"response_format": {"type": "xml"}}, "response_format", "invalid_type"),
        ({"tool_choice": {"type": "custom"}}, "tool_choice", "unsupported_parameter"),
        ({"functions": []}, "functions", "unsupported_parameter"),
        ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
        ({"verbosity": "low"}, "verbosity", "unsupported_parameter"),
        ({"store": True}, "store", "invalid_type"),
        ({"temprature": 1}, "temprature", "unknown_parameter"),
        ({"temperature": "1"}, "temperature", "invalid_type"),
        ({"n": True}, "n", "invalid_type"),
        ({"stop": [1]}, "stop", "invalid_type"),
        ({"messages": "hello"}, "messages", "invalid_type"),
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": []}, "messages", None),
        ({"model": None}, "model", "missing_required_parameter"),
        ({"top_logprobs": 2}, "top_logprobs", None),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", None),
        ({"max_completion_tokens": -1}, "max_completion_tokens", None),
        ({"stream_options": {}}, "stream_options", None),
        ({"stream": True, "stream_options": {"more": 1}}, "stream_options", "invalid_type"),
    ],
)
def test_refusals_of_chats(fields: dict[str, Any], param: str, code: str | None) -> None:
    with pytest.raises(FieldRefused) as caught:
        chat(**fields)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert param in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"metadata": {"k" * 100_000: 1}}, "metadata"), ({"logit_bias": {"k" * 100_000: "x"}}, "logit_bias"),
     ({"stream_options": {"k" * 100_000: 1}}, "stream_options"), ({"k" * 100_000: 1}, "k" * 100)],
)  # fmt: skip
def test_a_refusal_is_short_however_long_the_key_is(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(FieldRefused) as caught:
        chat(**fields)
    assert caught.value.param == param
    assert len(str(caught.value)) < 300


def test_tools() -> None:
    tools = [{"type": "function", "function": {"name": "now"}}]
    assert job(chat(tools=tools, tool_choice="auto", parallel_tool_calls=True))["tools"] == tools
    none = job(chat(tools=tools, tool_choice="none", parallel_tool_calls=False))
    assert (none["tool_choice"], none["parallel_tool_calls"]) == ("none", False)
    named = {"type": "function", "function": {"name": "now"}}
    assert job(chat(tools=tools, tool_choice=named))["tool_choice"] == {"name": "now"}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    some = job(chat(tools=[*tools, {"type": "function", "function": {"name": "then"}}], tool_choice=allowed))
    assert (some["tools"], some["tool_choice"]) == (tools, "required")


def test_reasoning() -> None:
    asked = chat(reasoning_effort="none", include_reasoning=False)
    assert (job(asked)["reasoning_effort"], "include_reasoning" in job(asked)) == ("none", False)
    with pytest.raises(FieldRefused, match="reasoning_effort: only "):
        chat(reasoning_effort="huge")
    with pytest.raises(FieldRefused, match="reasoning_effort"):
        completion(reasoning_effort="low")


def test_refusals_of_completions() -> None:
    for fields in ({"best_of": 2}, {"suffix": "x"}, {"logprobs": True}, {"logprobs": 21}, {"messages": HELLO}):
        (name,) = fields
        with pytest.raises(FieldRefused, match=name):
            completion(**fields)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"'])
def test_what_is_no_object(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_request(body, ChatRequest)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"store": True}, "store: only false is served here: send that, or leave it out"),
        ({"service_tier": "flex"}, 'service_tier: only "auto" or "default" is served here: send that, or leave it out'),
    ],
)
def test_of_a_field_with_few_values_those_are_told(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(FieldRefused, match=re.escape(told)):
        chat(**fields)


@pytest.mark.parametrize("kind", [ChatRequest, CompletionRequest, ResponseRequest])
def test_a_list_is_given_up_at_its_first_mistake(kind: type[OpenAIRequest]) -> None:
    """Of each of millions pydantic would keep one: gigabytes for a body of megabytes."""
    for name in kind.model_fields:
        with pytest.raises(ValidationError) as error:
            kind.model_validate({name: [1.5] * 5})
        places = [each["loc"] for each in error.value.errors() if each["loc"][0] == name]
        assert len([each for each in places if any(type(part) is int for part in each)]) <= 1, name


def test_many_mistakes_are_told_by_their_number() -> None:
    with pytest.raises(InvalidInput, match="the body has 1200 fields that are unknown, or values of a wrong type"):
        chat(**{f"f{n}": 1 for n in range(1200)})
    with pytest.raises(InvalidInput, match="the body has 1300 fields"):
        chat(logit_bias={str(n): "x" for n in range(1300)})
    with pytest.raises(InvalidInput, match=r"logit_bias: .* at most 300000 items"):
        chat(logit_bias=dict.fromkeys(map(str, range(300_001)), 1))
