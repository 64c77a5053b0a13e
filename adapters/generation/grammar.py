"""What a text has to be like, as a request asks for it, and as llguidance reads it.

    {"kind": "json_schema", "value": {...}, "field": "response_format"}      also json_object, regex, lark, choice

`field` is where the client wrote it. Sizes and depths are bounded here, before anything compiles it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from adapters.generation.refusal import RefusedJob

KINDS = ("json_schema", "json_object", "regex", "lark", "choice")
_OPENING, _CLOSING = "([{", ")]}"
#: between tokens of JSON: without a bound, small models write nothing else
_SPACE = r"( |\n{1,2}[ \t]{0,20})"
#: the field whose grammars are made of tools
TOOLS = "tools"
_INVALID = "invalid_grammar"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrammarLimits:
    """How much of a grammar is taken."""

    size: int = 256 << 10  #: bytes
    depth: int = 32  #: levels of nesting
    seconds: float = 5.0  #: to compile it


@dataclass(frozen=True, slots=True)
class Grammar:
    """One of `KINDS`, with its value of the right type."""

    kind: str
    value: Any
    field: str

    @classmethod
    def of(cls, given: Any) -> Self:
        """
        Raises:
            RefusedJob: it is no grammar.
        """
        if not isinstance(given, dict) or given.get("kind") not in KINDS:
            raise RefusedJob(f"grammar must be an object whose kind is one of {', '.join(KINDS)}", "grammar")
        grammar = cls(given["kind"], given.get("value"), str(given.get("field", "grammar")))
        if problem := grammar._problem():
            raise grammar.refused(problem)
        return grammar

    def refused(self, problem: str, place: str = "") -> RefusedJob:
        """The refusal of it; `place` is where in the value the problem is."""
        return RefusedJob(f"{self.field}{place}: {problem}", self.field.partition(".")[0], _INVALID)

    @property
    def is_clients(self) -> bool:
        """Whether its text is the client's own, and none that was made of something else."""
        return self.kind == "lark" and self.field != TOOLS

    def check(self, limits: GrammarLimits) -> None:
        """
        Raises:
            RefusedJob: it is larger, or deeper, than is taken.
        """
        written = self.value if isinstance(self.value, str) else json.dumps(self.value)
        if (size := len(written.encode(errors="replace"))) > limits.size:
            raise self.refused(f"it takes {size} bytes, and {limits.size} are taken (options.grammar_bytes)")
        depth = _depth_of_text(written) if isinstance(self.value, str) else _depth(self.value)
        if depth > limits.depth:
            raise self.refused(
                f"it is nested {depth} levels deep, and {limits.depth} are taken (options.grammar_depth)"
            )

    def source(self) -> str:
        """As llguidance reads it: {"grammars": [...]}."""
        if self.kind in ("json_schema", "json_object"):
            return json.dumps({"grammars": [{"json_schema": self.schema()}]})
        return json.dumps(
            {"grammars": [{"lark_grammar": f"start: {self.rule()}" if self.kind != "lark" else self.value}]}
        )

    def schema(self) -> Any:
        """The JSON schema that it stands for, with what is ours to say about white space."""
        schema = {"type": "object"} if self.kind == "json_object" else self.value
        return with_space(schema)

    def rule(self) -> str:
        """What stands for it on the right of a rule of Lark's."""
        if self.kind == "choice":
            return " | ".join(json.dumps(each) for each in self.value)
        if self.kind == "regex":
            return f"/{_escaped(self.value)}/"
        return f"%json {json.dumps(self.schema())}"

    def _problem(self) -> str:
        if self.kind == "json_schema" and not isinstance(self.value, dict | bool):
            return "a JSON schema must be an object"
        if self.kind in ("regex", "lark") and not (isinstance(self.value, str) and self.value):
            return f"a grammar by {self.kind} must be a text, and not an empty one"
        if self.kind == "choice" and not _are_texts(self.value):
            return "choices must be a list of at least one text, none of them empty"
        return ""


def with_space(schema: Any) -> Any:
    """A schema whose texts have no more white space than anybody would write."""
    if not isinstance(schema, dict):
        return schema
    own = schema.get("x-guidance")
    return {**schema, "x-guidance": {**(own if isinstance(own, dict) else {}), "whitespace_pattern": _SPACE}}


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) and each for each in value)


def _escaped(regex: str) -> str:
    """A regular expression between the slashes of Lark's."""
    found, rest = [], iter(regex)
    for character in rest:
        if character == "\\":
            found.append(character + next(rest, ""))
        else:
            found.append({"/": "\\/", "\n": "\\n"}.get(character, character))
    return "".join(found)


def _depth(value: Any) -> int:
    """Levels of objects and lists."""
    level, depth = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [inner for each in level for inner in _inner(each)]
    return depth


def _inner(value: Mapping[str, Any] | list[Any]) -> Iterator[Any]:
    yield from value.values() if isinstance(value, dict) else value


def _depth_of_text(text: str) -> int:
    """Levels of brackets."""
    depth = most = 0
    for place, character in enumerate(text):
        if place and text[place - 1] == "\\":
            continue
        if character in _OPENING:
            depth += 1
            most = max(most, depth)
        elif character in _CLOSING:
            depth = max(depth - 1, 0)
    return most
