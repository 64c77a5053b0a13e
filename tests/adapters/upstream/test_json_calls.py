"""Calls of tools in a JSON of our own: what an answer is held to, and what is read from it."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.generation.refusal import RefusedJob
from adapters.generation.tool_calls import ToolCall
from adapters.upstream.json_calls import calls_in, schema_of

CITY = {"type": "object", "properties": {"city": {"$ref": "#/$defs/City"}}, "$defs": {"City": {"enum": ["Rome"]}}}
TREE = {"type": "object", "properties": {"left": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": name, **more}}
    for name, more in (("weather", {"parameters": CITY}), ("now", {}), ("tree", {"parameters": TREE}))
]


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("name", ["", "weather"])
def test_an_answer_calls_a_tool_with_arguments_of_its_schema(name: str, several: bool) -> None:
    """By another reader of JSON schemas; what a tool's schema refers to within itself is found."""
    from jsonschema import Draft202012Validator

    schema = schema_of(TOOLS, name, several=several)
    Draft202012Validator.check_schema(schema)

    def valid(*calls: tuple[str, Any]) -> bool:
        answer = [{"name": called, "arguments": arguments} for called, arguments in calls]
        return bool(Draft202012Validator(schema).is_valid(answer if several else answer[0]))

    assert valid(("weather", {"city": "Rome"}))
    assert not valid(("weather", {"city": "Oslo"}))
    assert not valid(("weather", {"town": "Rome"}))
    assert not valid(("other", {}))
    assert valid(("now", {})) is (name == "")
    assert valid(("tree", {"left": {"left": None}})) is (name == "")
    assert not valid(("tree", {"left": {"left": 1}}))
    if several:
        assert valid(("weather", {"city": "Rome"}), ("weather", {"city": "Rome"}))
        assert not Draft202012Validator(schema).is_valid([])


def test_what_is_no_schema_is_refused() -> None:
    deep: Any = {"type": "null"}
    for _ in range(5000):
        deep = {"type": "array", "items": deep}
    for parameters, told in (([], "must be a JSON schema"), ({"properties": deep}, "are nested too deeply")):
        with pytest.raises(RefusedJob, match=f"tools: the parameters of f {told}") as refused:
            schema_of([{"type": "function", "function": {"name": "f", "parameters": parameters}}], "", several=False)
        assert refused.value.param == "tools"


def test_calls_are_read_where_they_are_whole() -> None:
    call = ToolCall("f", '{"a": "é"}')
    assert calls_in('{"name": "f", "arguments": {"a": "é"}}') == [call]
    assert calls_in(' [{"name": "f", "arguments": {"a": "é"}} , {"name": "f", "arguments": {"a": "é"}}]') == [call] * 2
    for cut in ("", '{"name": "f", "argu', '[{"name": "f"}]', "[1]", "1", '"f"', "[" * 100_000):
        assert calls_in(cut) == [], cut
