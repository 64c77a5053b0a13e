"""Which tools a chat may call, must call, or may not: `tool_choice` as the model's job has it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from server.api.openai.error_object import FieldRefused
from server.codec.error_text import quoted

#: what `tool_choice` may be
ToolChoice: TypeAlias = Literal["auto", "none", "required"] | dict[str, Any]


def choice_of(given: ToolChoice | None) -> str | dict[str, str] | None:
    """A word, or {"name": ...} of the function that has to be called; chats and responses write that differently.

    Raises:
        FieldRefused: it is another kind of choice.
    """
    if not isinstance(given, dict):
        return given
    if given.get("type") != "function":
        raise FieldRefused(
            f'tool_choice of type {quoted(str(given.get("type")))} is not served: name a function, or say "auto", '
            '"none" or "required"',
            "tool_choice",
            "unsupported_parameter",
        )
    function = given.get("function", given)
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not name:
        raise FieldRefused(
            'tool_choice must be {"type": "function", "function": {"name": ...}} to name a function', "tool_choice"
        )
    return {"name": name}
