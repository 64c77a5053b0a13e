"""Calls of tools in a JSON of our own: the schema that an answer is held to, and what is read from it.

    {"name": "weather", "arguments": {"city": "Paris"}}                   one call
    [{"name": "weather", "arguments": {"city": "Paris"}}, ...]            where there may be several

For a program that holds the answers of any model to a schema, and knows of some models only how they write calls.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.generation.refusal import RefusedJob
from adapters.generation.tool_calls import ToolCall
from adapters.generation.tool_grammar import parameters_of


def schema_of(tools: Sequence[Mapping[str, Any]], name: str, *, several: bool) -> dict[str, Any]:
    """That of an answer which calls one of the tools, or the one of that name unless it is "".

    Raises:
        RefusedJob: the parameters of a tool are no schema, or one that is nested too deeply.
    """
    functions = [tool["function"] for tool in tools if name in ("", tool["function"]["name"])]
    calls, definitions = [], {}
    for number, function in enumerate(functions):
        place = f"#/$defs/{number}"
        try:
            definitions[str(number)] = _moved(parameters_of(function), place)
        except RecursionError as error:
            raise RefusedJob(
                f"tools: the parameters of {function['name']} are nested too deeply: make them simpler", "tools"
            ) from error
        told = {"name": {"const": function["name"]}, "arguments": {"$ref": place}}
        calls.append({"type": "object", "properties": told, "required": [*told], "additionalProperties": False})
    call = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return {"$defs": definitions, **({"type": "array", "minItems": 1, "items": call} if several else call)}


def calls_in(text: str) -> list[ToolCall]:
    """Those of a whole answer; of one that was cut, none."""
    try:
        answer = json.loads(text)
        return [
            ToolCall(call["name"], json.dumps(call["arguments"], ensure_ascii=False))
            for call in (answer if isinstance(answer, list) else [answer])
        ]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []


def _moved(schema: Any, place: str) -> Any:
    """A schema that stands at `place` of another: what it refers to within itself is there now."""
    if isinstance(schema, list):
        return [_moved(each, place) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: place + value[1:]
        if name == "$ref" and isinstance(value, str) and value.startswith("#")
        else _moved(value, place)
        for name, value in schema.items()
    }
