"""The items of a response's `input`, as the messages of a chat.

text, {"role": ..., "content": ...}                                a message
{"type": "function_call", "call_id", "name", "arguments"}         the model's call: joins its message
{"type": "function_call_output", "call_id", "output"}             what came of it
{"type": "reasoning", "content": [{"type": "reasoning_text"}]}     what it thought before its next message, or call
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from server.api.openai.error_object import FieldRefused
from server.codec.error_text import as_word, described

_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}


def messages_of(given: str | Sequence[Mapping[str, Any]], instructions: str | None) -> list[dict[str, Any]]:
    """
    Raises:
        FieldRefused: an item is none of these, with its place.
    """
    messages: list[dict[str, Any]] = []
    thoughts: list[str] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    if not given:
        raise FieldRefused("input is an empty list: send at least one item", "input")
    for number, item in enumerate(given):
        if item.get("type") == "reasoning":
            thoughts.append(_thought(item, f"input[{number}]"))
            continue
        _add(messages, item, f"input[{number}]")
        if (thought := "\n".join(filter(None, thoughts))) and messages[-1]["role"] == "assistant":
            messages[-1].setdefault("reasoning_content", thought)
        thoughts = []
    if all(item.get("type") == "reasoning" for item in given):
        raise FieldRefused("input is reasoning alone: send the message that it belongs to, too", "input")
    return messages


def _add(messages: list[dict[str, Any]], item: Mapping[str, Any], where: str) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        role = item.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise FieldRefused(f"{where}.role must be one of {', '.join(_ROLES)}", "input")
        messages.append({"role": _ROLES[role], "content": _text(item.get("content"), f"{where}.content")})
    elif kind == "function_call":
        call = {"id": _word(item, "call_id", where), "type": "function", "function": {
            "name": _word(item, "name", where), "arguments": _word(item, "arguments", where)}}  # fmt: skip
        if not messages or messages[-1]["role"] != "assistant":
            messages.append({"role": "assistant", "content": ""})
        messages[-1].setdefault("tool_calls", []).append(call)
    elif kind == "function_call_output":
        output = _text(item.get("output"), f"{where}.output")
        messages.append({"role": "tool", "tool_call_id": _word(item, "call_id", where), "content": output})
    else:
        raise FieldRefused(f"{where} is of type {as_word(kind)}, which is not served: leave it out", "input")


def _thought(item: Mapping[str, Any], where: str) -> str:
    """What was thought; "" where only its summary is there, or what nobody but its writer can read."""
    content = item.get("content") or []
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise FieldRefused(f"{where}.content must be a list of parts of type reasoning_text, with their text", "input")
    return "\n".join(map(str, texts))


def _text(content: Any, where: str) -> str:
    """A text, or parts of text joined as chats do."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise FieldRefused(f"{where} must be a text, or a list of parts of text, not {described(content)}", "input")
    texts = []
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        text = part.get(_TEXTS[kind]) if isinstance(kind, str) and kind in _TEXTS else None
        if not isinstance(text, str):
            raise FieldRefused(f"{where}[{number}]: only parts of text are taken, with their text", "input")
        texts.append(text)
    return "\n".join(texts)


def _word(item: Mapping[str, Any], name: str, where: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise FieldRefused(f"{where}.{name} must be a text, not {described(value)}", "input")
    return value
