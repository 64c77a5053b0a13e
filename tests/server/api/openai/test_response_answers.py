"""The documents of responses."""

from __future__ import annotations

from typing import Any

from server.api.openai.response_answers import ResponseShape, call_item, status_of
from server.api.openai.response_fields import ResponseRequest
from server.api.openai.text_answers import MadeText

TOKEN = {"token": "a", "logprob": -1.0, "bytes": [97], "top": [], "offset": 0}


def shape(**fields: Any) -> ResponseShape:
    return ResponseShape("resp_1", 7, ResponseRequest(model="m", input="hello", **fields))


def test_a_text() -> None:
    document = shape(metadata={"a": "b"}, prompt_cache_key="k").complete([MadeText("a", [], "stop")])
    assert (document["prompt_cache_key"], document["prompt_cache_diagnostics"]) == ("k", None)
    (item,) = document["output"]
    assert (document["status"], document["incomplete_details"], document["store"]) == ("completed", None, False)
    assert (item["role"], item["status"], item["content"][0]["text"]) == ("assistant", "completed", "a")
    assert document["metadata"] == {"a": "b"}


def test_one_that_was_cut_short() -> None:
    document = shape().complete([MadeText("a", [], "length")])
    assert (document["status"], document["output"][0]["status"]) == ("incomplete", "incomplete")
    assert document["incomplete_details"] == {"reason": "max_output_tokens"}
    assert status_of("tool_calls") == "completed"


def test_calls_are_items_of_their_own() -> None:
    call = {"name": "now", "arguments": "{}"}
    (alone,) = shape().complete([MadeText("", [], "tool_calls", [call])])["output"]
    assert (alone["type"], alone["name"], alone["arguments"]) == ("function_call", "now", "{}")
    both = shape().complete([MadeText("so", [], "tool_calls", [call, call])])["output"]
    assert [item["type"] for item in both] == ["message", "function_call", "function_call"]
    assert call_item("i", "c", call, begun=True) == {
        **call_item("i", "c", call),
        "arguments": "",
        "status": "in_progress",
    }


def test_logprobs_if_they_are_asked_for() -> None:
    told = shape(include=["message.output_text.logprobs"])
    assert told.part("a", [TOKEN])["logprobs"][0]["top_logprobs"] == []
    assert told.part("a", [{**TOKEN, "thought": True}])["logprobs"] == []
    assert shape().part("a", [TOKEN])["logprobs"] == []


def test_reasoning_is_an_item_before_the_text() -> None:
    thought, text = shape().complete([MadeText("a", [], "stop", reasoning="so")])["output"]
    assert thought.pop("id").startswith("rs_")
    part = {"type": "reasoning_text", "text": "so"}
    assert thought == {"type": "reasoning", "summary": [], "content": [part], "status": "completed"}
    assert text["type"] == "message"
    document = shape(reasoning={"effort": "low"}).complete([MadeText("", [], "length", reasoning="so")])
    assert [(item["type"], item["status"]) for item in document["output"]] == [("reasoning", "incomplete")]
    assert document["reasoning"] == {"effort": "low", "summary": None}


def test_usage() -> None:
    usage = shape().usage({"prompt_tokens": 2, "completion_tokens": 3, "reasoning_tokens": 1})
    assert usage["output_tokens_details"] == {"reasoning_tokens": 1}
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (2, 3, 5)
