"""`tool_choice`, as chats and as responses write it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from server.api.openai.error_object import FieldRefused
from server.api.openai.tool_fields import choice_of, chosen


def test_choices() -> None:
    assert [choice_of(each) for each in (None, "auto", "none", "required")] == [None, "auto", "none", "required"]
    assert choice_of({"type": "function", "function": {"name": "f"}}) == {"name": "f"}
    assert choice_of({"type": "function", "name": "f"}) == {"name": "f"}


@pytest.mark.parametrize(
    "given",
    [{}, {"type": "custom"}, {"type": "function"}, {"type": "function", "function": 5}, {"type": 5},
     {"type": "function", "function": {"name": ""}}, {"type": "allowed_tools", "mode": "auto"}],
)  # fmt: skip
def test_others_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(FieldRefused) as caught:
        choice_of(given)
    assert caught.value.param == "tool_choice"


def test_a_type_that_nobody_could_write_out_is_refused_by_its_kind() -> None:
    deep = orjson.loads("[" * 1000 + "]" * 1000)
    with pytest.raises(FieldRefused, match="tool_choice of type a list is not served"):
        choice_of({"type": deep})
    with pytest.raises(FieldRefused, match="of type null is not served"):
        choice_of({})


def _tools(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": name}} for name in names]


def test_some_of_the_tools_may_be_allowed() -> None:
    tools = _tools("f", "g", "h")
    assert chosen(tools, "required") == (tools, "required")
    in_chats = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": _tools("h", "f")}}
    assert chosen(tools, in_chats) == (_tools("f", "h"), "required")
    in_responses = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]}
    assert chosen(tools, in_responses) == (_tools("g"), "auto")


@pytest.mark.parametrize(
    ("allowed", "told"),
    [({"mode": "none", "tools": _tools("f")}, "must be"), ({"mode": "auto", "tools": []}, "must be"),
     ({"mode": "auto"}, "must be"), (5, "must be"), ({"mode": "auto", "tools": "f"}, "must be"),
     ({"mode": "auto", "tools": _tools("f", "x")}, "allows 'x', which is none of the tools"),
     ({"mode": "auto", "tools": [5, {"type": "mcp"}, {"type": "function", "function": 1}]}, "none of the tools")],
)  # fmt: skip
def test_tools_that_are_not_there_cannot_be_allowed(allowed: Any, told: str) -> None:
    with pytest.raises(FieldRefused, match=told) as caught:
        chosen(_tools("f"), {"type": "allowed_tools", "allowed_tools": allowed})
    assert caught.value.param == "tool_choice"
