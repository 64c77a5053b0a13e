"""Grammars of calls of tools, in the form that a model's template has them written (`tool_calls` reads them).

A call that has to come is made to: each begins with its mark, names one of the tools, and has arguments of its schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapters.generation.grammar import TOOLS, Grammar, GrammarLimits, with_space
from adapters.generation.job import Chat
from adapters.generation.refusal import RefusedJob
from adapters.generation.tool_calls import CLOSE, OPEN

_ANYTHING = r"/(.|\n)*/"
_NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}


def grammar_of(
    chat: Chat, answer: Grammar | None, *, as_functions: bool, limits: GrammarLimits | None = None
) -> Grammar | None:
    """What the text has to be like, where tools or an answer's own grammar say so; None: they do not.

    `as_functions`: calls are written <function=...><parameter=...>, and not as JSON. No more is written than `limits`
    take.

    Raises:
        RefusedJob: the tools cannot be asked for in this form, or together with such an answer.
    """
    if not chat.tools:
        return answer
    tools = [tool["function"] for tool in chat.tools]
    if chat.required_tool:
        tools = [tool for tool in tools if tool["name"] == chat.required_tool]
    if not chat.needs_call and answer is None and not any(tool.get("strict") is True for tool in tools):
        return None
    write = _written_as_functions if as_functions else _written_as_json
    rules = [f"body: {' | '.join(f'f{number}' for number in range(len(tools)))}"]
    most = (limits or GrammarLimits()).size
    rules += _few(most, (rule for number, tool in enumerate(tools) for rule in write(number, tool)))
    rest = f'"\\n" body "\\n" {_text(CLOSE)}'
    rules.append(f"call: {_text(OPEN)} {rest}")
    calls = 'call ("\\n" call)*' if chat.parallel_calls else "call"
    if chat.needs_call:
        return _lark(f"start: {calls}", *rules)
    if answer is not None:
        if answer.kind == "lark":
            raise answer.refused("a lark grammar is for texts alone: leave the tools out, or set tool_choice to none")
        return _lark(f"start: answer | {calls}", f"answer: {answer.rule()}", *rules)
    rules += [f"called: before {rest}", f"before[lazy]: TEXT {_text(OPEN)}", f"TEXT: {_ANYTHING}"]
    return _lark("start: called* TEXT", *rules)


def _few(most: int, rules: Iterable[str]) -> Iterator[str]:
    """The rules, up to so many characters: each parameter has all definitions of its tool once more.

    Raises:
        RefusedJob: there are more.
    """
    left = most
    for rule in rules:
        left -= len(rule)
        if left < 0:
            raise RefusedJob(
                f"tools: what calls of them have to be like takes more than {most} bytes, and no more are taken "
                "(options.grammar_bytes): send fewer tools, or smaller schemas",
                TOOLS,
            )
        yield rule


def unforced(chat: Chat, answer: Grammar | None) -> Grammar | None:
    """The same for a model whose calls of tools are written in a form that there is no grammar for.

    Raises:
        RefusedJob: one is needed.
    """
    strict = any(tool["function"].get("strict") is True for tool in chat.tools or ())
    if not (chat.needs_call or strict or answer is not None):
        return None
    field = "tool_choice" if chat.needs_call else "tools" if strict else answer.field if answer is not None else ""
    raise RefusedJob(
        f"{field}: the model writes calls of tools in a form of its own, which it cannot be held to: let tool_choice "
        "be auto, without strict tools and without a grammar beside them",
        field.partition(".")[0],
        "unsupported_parameter",
    )


def _written_as_json(number: int, tool: Mapping[str, Any]) -> Iterator[str]:
    begin = f'{{"name": {json.dumps(tool["name"], ensure_ascii=False)}, "arguments": '
    yield f'f{number}: {_text(begin)} a{number} "}}"'
    yield f"a{number}: {_json(parameters_of(tool))}"


def _written_as_functions(number: int, tool: Mapping[str, Any]) -> Iterator[str]:
    schema = parameters_of(tool)
    required, properties = schema.get("required", []), schema.get("properties", {})
    if not isinstance(required, list) or not isinstance(properties, dict):
        raise RefusedJob(f"tools: the parameters of {tool['name']} must have properties by their names", "tools")
    needed = {name for name in required if isinstance(name, str)}
    parts = []
    for place, (name, inner) in enumerate(properties.items()):
        rule = f"p{number}_{place}"
        parts.append(rule if name in needed else f"{rule}?")
        yield f'{rule}: {_text(f"<parameter={name}>")} "\\n" {rule}_value'
        end = r'"\n</parameter>\n"'
        if not isinstance(inner, dict) or inner.get("type") != "string":
            yield f"{rule}_value: {rule}_json {end}"
            yield f"{rule}_json: {_json(_with_definitions(inner, schema))}"
        elif isinstance(inner.get("enum"), list) and inner["enum"]:
            yield f"{rule}_value: ({' | '.join(_text(str(each)) for each in inner['enum'])}) {end}"
        else:
            yield f"{rule}_value[lazy]: {_ANYTHING} {end}"
    begin = f"<function={tool['name']}>"
    yield f'f{number}: {_text(begin)} "\\n" {" ".join(parts)} "</function>"'


def parameters_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of a function's arguments.

    Raises:
        RefusedJob: it is none.
    """
    given = tool.get("parameters")
    if given is None:
        return _NO_ARGUMENTS
    if not isinstance(given, dict):
        raise RefusedJob(f"tools: the parameters of {tool['name']} must be a JSON schema", "tools")
    # what is open by JSON Schema is not meant to be by whoever lists a function's parameters: a model that is held to
    # it could go on with names of its own for ever
    closed = (
        {"additionalProperties": False} if isinstance(given.get("properties"), dict) and not _composed(given) else {}
    )
    return {"type": "object", **closed, **given}


def _composed(schema: Mapping[str, Any]) -> bool:
    """Whether there may be properties that are declared elsewhere."""
    return not schema.keys().isdisjoint(("allOf", "anyOf", "oneOf", "$ref", "if", "patternProperties"))


def _with_definitions(schema: Any, whole: Mapping[str, Any]) -> Any:
    """A schema within another, with what it may refer to there."""
    shared = {name: whole[name] for name in ("$defs", "definitions") if name in whole}
    return {**shared, **schema} if isinstance(schema, dict) else schema


def _json(schema: Any) -> str:
    return f"%json {json.dumps(with_space(schema))}"


def _text(text: str) -> str:
    """As a string of Lark's."""
    return json.dumps(text, ensure_ascii=False)


def _lark(*rules: str) -> Grammar:
    return Grammar("lark", "\n".join(rules), TOOLS)
