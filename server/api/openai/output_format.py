"""What the text has to be like: OpenAI's `response_format`, vLLM's `structured_outputs` and its older `guided_...`.

All of them become one grammar of the model's job; what is wrong with it, the model says
(`adapters.generation.grammar`).

Sources: OpenAI's API reference; vLLM's structured outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.api.openai.error_object import FieldRefused
from server.api.openai.fail_fast import FailFastList

#: field of vLLM's -> kind of grammar
_STRUCTURED = {"json": "json_schema", "regex": "regex", "choice": "choice", "grammar": "lark"}
_ONE = "say what the text has to be like in one way, and leave the others out"


class _Format(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class NamedSchema(_Format):
    """A schema for the model's answer. It is kept to whether `strict` is set or not."""

    name: str = Field(pattern="^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(_Format):
    """`response_format`; with a `value` as text-generation-inference and huggingface_hub's clients write it."""

    type: Literal["text", "json_object", "json_schema", "json", "regex"]
    json_schema: NamedSchema | None = None
    value: Any = None

    def grammar(self) -> dict[str, Any] | None:
        """
        Raises:
            FieldRefused: there is no schema, or one too many.
        """
        if (self.json_schema is not None) != (self.type == "json_schema"):
            raise FieldRefused(
                'response_format.json_schema belongs to the type "json_schema", and that to it', "response_format"
            )
        if (needs := self.type in ("json", "regex")) != (self.value is not None) and self.type != "json_object":
            problem = "is missing" if needs else "belongs to the types json_object, json and regex"
            raise FieldRefused(f"response_format.value {problem}", "response_format")
        if self.json_schema is not None:
            schema = self.json_schema.schema_
            return {"kind": "json_schema", "value": schema, "field": "response_format.json_schema.schema"}
        if self.value is not None:
            kind = "regex" if self.type == "regex" else "json_schema"
            return {"kind": kind, "value": self.value, "field": "response_format.value"}
        return {"kind": "json_object", "field": "response_format"} if self.type == "json_object" else None


class StructuredOutputs(_Format):
    """`structured_outputs`: one of these."""

    json_: dict[str, Any] | None = Field(None, alias="json")
    regex: str | None = None
    choice: FailFastList[str] | None = None
    grammar: str | None = None  #: by Lark
    json_object: bool | None = None

    def found(self) -> dict[str, Any] | None:
        """The grammar.

        Raises:
            FieldRefused: there are none, or several.
        """
        values = {"json": self.json_, "regex": self.regex, "choice": self.choice, "grammar": self.grammar}
        grammars = [_grammar(name, value, f"structured_outputs.{name}") for name, value in values.items()]
        found = [grammar for grammar in grammars if grammar is not None]
        if self.json_object:
            found.append({"kind": "json_object", "field": "structured_outputs.json_object"})
        if len(found) != 1:
            raise FieldRefused(f"structured_outputs has {len(found)} of its fields: {_ONE}", "structured_outputs")
        return found[0]


def grammar_of(
    response_format: ResponseFormat | None,
    structured_outputs: StructuredOutputs | None,
    guided: Mapping[str, Any],
) -> dict[str, Any] | None:
    """What a request asks for; `guided` are vLLM's older fields by their names without guided_.

    Raises:
        FieldRefused: it asks for several at once, or for none where it says so.
    """
    found = {f"guided_{name}": _grammar(name, value, f"guided_{name}") for name, value in guided.items()}
    if response_format is not None:
        found["response_format"] = response_format.grammar()
    if structured_outputs is not None:
        found["structured_outputs"] = structured_outputs.found()
    asked = {field: grammar for field, grammar in found.items() if grammar is not None}
    if len(asked) > 1:
        raise FieldRefused(f"{' and '.join(asked)}: {_ONE}", next(iter(asked)))
    return next(iter(asked.values()), None)


def _grammar(name: str, value: Any, field: str) -> dict[str, Any] | None:
    return None if value is None else {"kind": _STRUCTURED[name], "value": value, "field": field}
