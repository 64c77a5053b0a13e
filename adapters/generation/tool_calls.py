"""Calls of tools in a model's text, as two families of templates have them written.

    <tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>                      Hermes, Qwen
    <tool_call><function=weather><parameter=city>Paris</parameter></function></tool_call>           Qwen 3.5, Coder

A call is told once it is whole. What looks like one and is none stays text, so that nothing is lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.generation.held_back import could_begin
from adapters.generation.refusal import RefusedJob

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_FUNCTION = re.compile(r"\s*<function=([^>\n]+)>(.*?)</function>\s*", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_END = "</parameter>"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call: a function's name, and its arguments as a JSON object."""

    name: str
    arguments: str


def check_form(tools: Any) -> None:
    """
    Raises:
        RefusedJob: they are no tools.
    """
    if not isinstance(tools, list) or not tools or not all(map(_is_tool, tools)):
        raise RefusedJob('tools must be a list of {"type": "function", "function": {"name": ...}}', "tools")


def check_tools(tools: Any, template: str, *, reads_calls: bool = False) -> None:
    """`reads_calls`: the model's tokenizer says itself how its calls are read.

    Raises:
        RefusedJob: they are no tools, or the model's calls could not be read.
    """
    check_form(tools)
    if "tools" not in template or not (reads_calls or OPEN in template):
        raise RefusedJob(
            f"tools: the model's chat template does not have calls written between {OPEN} and {CLOSE}, which is the "
            "form that is read: leave them out",
            "tools",
            "unsupported_parameter",
        )


def writes_functions(template: str) -> bool:
    """Whether calls are written <function=...>, and not as JSON."""
    return "<function=" in template


def _is_tool(tool: Any) -> bool:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    return isinstance(function, dict) and isinstance(name := function.get("name"), str) and bool(name)


class ToolCallReader:
    """Takes the text piece by piece."""

    def __init__(self, tools: Sequence[Mapping[str, Any]]) -> None:
        self._texts = {tool["function"]["name"]: _texts(tool["function"].get("parameters")) for tool in tools}
        self._held = ""  #: may be a call, or its beginning and the white space before that

    def feed(self, piece: str) -> tuple[str, list[ToolCall]]:
        """Text that belongs to no call, and the calls that are whole now."""
        self._held += piece
        text = ""
        calls: list[ToolCall] = []
        while True:
            before, opened, rest = self._held.partition(OPEN)
            if not opened:
                kept = could_begin(before, OPEN)
                self._held = before[len(before) - kept :]
                return text + before[: len(before) - kept], calls
            inner, closed, after = rest.partition(CLOSE)
            if not closed:
                text += before.rstrip()
                self._held = before[len(before.rstrip()) :] + opened + rest
                return text, calls
            if (call := self._call(inner)) is None:
                text += before + opened + inner + closed
            else:
                text += before.rstrip()
                calls.append(call)
            self._held = after

    def flush(self) -> str:
        """What was held back, when nothing comes any more: text, for a call would have been told."""
        rest, self._held = self._held, ""
        return rest if rest.strip() else ""

    def _call(self, inner: str) -> ToolCall | None:
        if (function := _FUNCTION.fullmatch(inner)) is not None:
            name = function[1].strip()
            texts = self._texts.get(name, set())
            ended = function[2].rfind(_END) + len(_END)  # behind it, every opening mark would be a search to the end
            found = _PARAMETER.findall(function[2][:ended])
            given = {key: value if key in texts else _value(value) for key, value in found}
            return ToolCall(name, json.dumps(given, ensure_ascii=False))
        try:
            call = json.loads(inner)
            name, arguments = call["name"], call.get("arguments") or {}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        if isinstance(arguments, str):  # some models write the object as a text
            arguments = _value(arguments)
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return None
        return ToolCall(name, json.dumps(arguments, ensure_ascii=False))


def _texts(parameters: Any) -> set[str]:
    """The parameters of a JSON schema that are texts, whatever these look like."""
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    if not isinstance(properties, dict):
        return set()
    return {name for name, schema in properties.items() if isinstance(schema, dict) and schema.get("type") == "string"}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
