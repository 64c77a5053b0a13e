"""Bodies that hold more than any request would are refused before they are read, whatever their fields."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from server.api.openai import body_parts
from server.api.openai.encoder_fields import EmbeddingRequest
from server.api.openai.request_fields import ChatRequest, CompletionRequest, OpenAIRequest, read_request
from server.api.openai.response_fields import ResponseRequest
from server.errors import TooLarge

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in {"_MOST_LISTS": 50, "_MOST_VALUES": 400, "_MOST_TEXTS": 100}.items():
        monkeypatch.setattr(body_parts, name, most)


@pytest.mark.parametrize(
    ("kind", "fields", "what"),
    [
        (ChatRequest, {**HELLO, "tools": [TOOL] * 20}, "50 lists and objects"),
        (ChatRequest, {"messages": HELLO["messages"] * 60}, "50 lists and objects"),
        (ChatRequest, {**HELLO, "metadata": {f"k{i}": "" for i in range(60)}}, "100 texts"),
        (ChatRequest, {**HELLO, **{f"k{i}": 1 for i in range(120)}}, "100 texts"),
        (ResponseRequest, {"input": "a", "tools": [TOOL] * 20}, "50 lists and objects"),
        (CompletionRequest, {"prompt": [1] * 500}, "400 values"),
        (EmbeddingRequest, {"input": [[1]] * 60}, "50 lists and objects"),
    ],
)
def test_a_body_of_too_many_parts(kind: type[OpenAIRequest], fields: dict[str, Any], what: str) -> None:
    with pytest.raises(TooLarge, match=f"more than {what}; send fewer messages, tools or prompts"):
        read_request(orjson.dumps({"model": "m", **fields}), kind)


def test_code_in_a_text_is_no_part() -> None:
    said = '[{"a": [1, 2, "\\"]}], ' * 200
    read = read_request(orjson.dumps({"model": "m", "messages": [{"role": "user", "content": said}]}), ChatRequest)
    assert read.messages[0]["content"] == said
