"""Which tools a chat may call, must call, or may not: `tool_choice` as the model's job has it.

Of tools that are allowed among others (`allowed_tools`) the model is told, and of no others, so that it calls none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from server.api.openai.error_object import FieldRefused
from server.codec.error_text import as_word, quoted

_FIELD = "tool_choice"
#: what `tool_choice` may be
ToolChoice: TypeAlias = Literal["auto", "none", "required"] | dict[str, Any]
_ALLOWED = "allowed_tools"
_MODES = ("auto", "required")
_WAY_OUT = '{"type": "allowed_tools", "allowed_tools": {"mode": "auto" or "required", "tools": [...]}}'

Tools: TypeAlias = Sequence[dict[str, Any]]


def chosen(tools: Tools, given: ToolChoice | None) -> tuple[Tools, str | dict[str, str] | None]:
    """The tools (as chats have them) that the model is told of, and which of them it must call: see `choice_of`.

    Raises:
        FieldRefused: it is another kind of choice, or names what is none of the tools.
    """
    if not isinstance(given, dict) or given.get("type") != _ALLOWED:
        return tools, choice_of(given)
    allowed = given.get(_ALLOWED, given)  # responses have both beside the type
    mode, named = (allowed.get(each) if isinstance(allowed, dict) else None for each in ("mode", "tools"))
    if mode not in _MODES or not isinstance(named, list) or not named:
        raise FieldRefused(f"tool_choice of type {_ALLOWED} must be {_WAY_OUT}, with the tools by their names", _FIELD)
    names = {_name(tool) for tool in named}
    kept = [tool for tool in tools if _name(tool) in names]
    if lacking := names - {_name(tool) for tool in kept}:
        shown = quoted(str(min(map(str, lacking))))
        raise FieldRefused(f"tool_choice allows {shown}, which is none of the tools: send its name as in tools", _FIELD)
    return kept, str(mode)


def _name(tool: Any) -> Any:
    """Of a function, in chats or in responses; None of anything else."""
    if not isinstance(tool, dict) or tool.get("type") != "function":
        return None
    function = tool.get("function", tool)
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def choice_of(given: ToolChoice | None) -> str | dict[str, str] | None:
    """A word, or {"name": ...} of the function that has to be called; chats and responses write that differently.

    Raises:
        FieldRefused: it is another kind of choice.
    """
    if not isinstance(given, dict):
        return given
    if given.get("type") != "function":
        raise FieldRefused(
            f"tool_choice of type {as_word(given.get('type'))} is not served: name a function, or some by "
            'allowed_tools, or say "auto", "none" or "required"',
            _FIELD,
            "unsupported_parameter",
        )
    function = given.get("function", given)
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not name:
        raise FieldRefused(
            'tool_choice must be {"type": "function", "function": {"name": ...}} to name a function', _FIELD
        )
    return {"name": name}
