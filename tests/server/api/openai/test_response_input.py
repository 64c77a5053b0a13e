"""Items of a response's input, as messages."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from server.api.openai.error_object import FieldRefused
from server.api.openai.response_input import messages_of

CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "now", "arguments": "{}", "status": "completed"}
#: Python refuses to write it out
DEEP: Any = orjson.loads("[" * 1000 + "]" * 1000)
CALLED = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}


def test_messages() -> None:
    items: list[dict[str, Any]] = [
        {"role": "developer", "content": "be brief"},
        {"type": "message", "role": "user",
         "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "c", "annotations": []}]},
    ]  # fmt: skip
    assert messages_of(items, None) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "a\nb"},
        {"role": "assistant", "content": "c"},
    ]
    assert messages_of("hello", "be brief") == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hello"},
    ]


def test_calls_join_the_model_s_message_and_their_outputs_follow() -> None:
    said = {"role": "assistant", "content": "let me see"}
    output = {"type": "function_call_output", "call_id": "c1", "output": "noon"}
    assert messages_of([said, CALL, {**CALL, "call_id": "c2"}, output], None) == [
        {**said, "tool_calls": [CALLED, {**CALLED, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    ]
    alone = messages_of([{"role": "user", "content": "?"}, CALL], None)
    assert alone[1] == {"role": "assistant", "content": "", "tool_calls": [CALLED]}


def test_reasoning_belongs_to_what_comes_behind_it() -> None:
    def thought(*texts: str) -> dict[str, Any]:
        return {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": text} for text in texts],
        }

    said = {"role": "assistant", "content": "yes"}
    empty = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "short"}]}
    found = messages_of([thought("a", "b"), thought("c"), said, empty, said, thought("d"), CALL], None)
    assert found[0] == {**said, "reasoning_content": "a\nb\nc"}
    assert found[1] == {**said, "tool_calls": [CALLED], "reasoning_content": "d"}
    assert messages_of([thought("lost"), {"role": "user", "content": "?"}], None) == [{"role": "user", "content": "?"}]


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"type": "reasoning"}, "input is reasoning alone"),
        ({"type": "reasoning", "content": "so"}, "input[0].content must be a list of parts of type reasoning_text"),
        ({"type": "reasoning", "content": [{"type": "reasoning_text"}]}, "input[0].content must be a list of parts"),
        ({"type": "item_reference"}, "input[0] is of type 'item_reference'"),
        ({"type": 5}, "input[0] is of type 5"),
        ({"type": DEEP}, "input[0] is of type a list"),
        ({"role": "oracle", "content": "?"}, "input[0].role"),
        ({"role": ["user"], "content": "?"}, "input[0].role"),
        ({"role": "user"}, "input[0].content"),
        ({"role": "user", "content": []}, "input[0].content"),
        ({"role": "user", "content": ["a"]}, "input[0].content[0]"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[0].content[0]"),
        ({"role": "user", "content": [{"type": ["input_text"], "text": "a"}]}, "input[0].content[0]"),
        ({**CALL, "arguments": {}}, "input[0].arguments"),
        ({"type": "function_call_output", "output": "a"}, "input[0].call_id"),
    ],
)
def test_refusals_name_the_place(item: dict[str, Any], told: str) -> None:
    with pytest.raises(FieldRefused) as caught:
        messages_of([item], None)
    assert told in str(caught.value)
    assert caught.value.param == "input"
