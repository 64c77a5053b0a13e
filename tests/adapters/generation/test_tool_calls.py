"""Calls of tools out of a text, however it is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.generation.refusal import RefusedJob
from adapters.generation.tool_calls import ToolCall, ToolCallReader, check_tools

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Köln"}}\n</tool_call>'
_NAMELESS = [{"type": "function", "function": {"name": ""}}]
TEMPLATE = "{% if tools %}<tool_call>{% endif %}"


def read(text: str, size: int) -> tuple[str, list[ToolCall]]:
    reader, sent, calls = ToolCallReader(TOOLS), "", []
    for at in range(0, len(text), size):
        piece, found = reader.feed(text[at : at + size])
        sent, calls = sent + piece, calls + found
    return sent + reader.flush(), calls


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_text_and_calls(size: int) -> None:
    sent, calls = read(f"Let me see.\n{CALL}\n{CALL}", size)
    assert sent == "Let me see."
    assert calls == [ToolCall("weather", '{"city": "Köln"}')] * 2


@pytest.mark.parametrize("size", [1, 1000])
def test_the_form_with_a_tag_a_parameter(size: int) -> None:
    text = (
        "<tool_call>\n<function=weather>\n<parameter=city>\n12\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
        "</function>\n</tool_call>"
    )
    (call,) = read(text, size)[1]
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "12", "days": 3})


@pytest.mark.parametrize("arguments", ["", ', "arguments": {}', ', "arguments": null', ', "arguments": "{}"'])
def test_no_arguments_are_an_empty_object(arguments: str) -> None:
    assert read(f'<tool_call>{{"name": "now"{arguments}}}</tool_call>', 4) == ("", [ToolCall("now", "{}")])


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "a < b, and <tool is nothing",
        "<tool_call>not JSON</tool_call> and more",
        '<tool_call>{"name": 3}</tool_call>',
        'cut <tool_call>{"name": "weather", "argu',
        "plain  text with   spaces",
    ],
)
def test_what_is_no_call_stays_text(text: str, size: int) -> None:
    assert read(text, size) == (text, [])


def test_which_tools_are_taken() -> None:
    check_tools(TOOLS, TEMPLATE)
    for tools in ([], [3], [{"type": "function"}], [{"type": "function", "function": {"name": 3}}], "x", _NAMELESS):
        with pytest.raises(RefusedJob, match="tools must be"):
            check_tools(tools, TEMPLATE)
    with pytest.raises(RefusedJob, match="does not have calls written") as caught:
        check_tools(TOOLS, "{{ messages }}")
    assert caught.value.code == "unsupported_parameter"
