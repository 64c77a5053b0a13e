"""What requests say about the form of a text, as the grammar of a job."""

from __future__ import annotations

from typing import Any

import pytest

from server.api.openai.error_object import FieldRefused
from server.api.openai.output_format import ResponseFormat, StructuredOutputs, grammar_of

SCHEMA = {"type": "object"}
NAMED = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}


def grammar(response_format: Any = None, structured: Any = None, **guided: Any) -> dict[str, Any] | None:
    return grammar_of(
        None if response_format is None else ResponseFormat.model_validate(response_format),
        None if structured is None else StructuredOutputs.model_validate(structured),
        guided,
    )


def test_response_formats() -> None:
    assert grammar() is None
    assert grammar({"type": "text"}) is None
    assert grammar({"type": "json_object"}) == {"kind": "json_object", "field": "response_format"}
    found = grammar(NAMED)
    assert found == {"kind": "json_schema", "value": SCHEMA, "field": "response_format.json_schema.schema"}


def test_what_huggingface_s_clients_send() -> None:
    for kind in ("json_object", "json"):
        found = grammar({"type": kind, "value": SCHEMA, "json_schema": None})
        assert found == {"kind": "json_schema", "value": SCHEMA, "field": "response_format.value"}
    assert grammar({"type": "regex", "value": "a"}) == {"kind": "regex", "value": "a", "field": "response_format.value"}


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [("json", "json_schema", SCHEMA), ("regex", "regex", "a"), ("choice", "choice", ["a"]), ("grammar", "lark", "s")],
)
def test_vllm_s_names(name: str, kind: str, value: Any) -> None:
    new, old = grammar(structured={name: value}), grammar(**{name: value})
    assert new == {"kind": kind, "value": value, "field": f"structured_outputs.{name}"}
    assert old == {"kind": kind, "value": value, "field": f"guided_{name}"}
    assert grammar(structured={"json_object": True})["kind"] == "json_object"  # type: ignore[index]


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {**NAMED, "type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json"}}, "response_format"),
        ({"response_format": {"type": "text", "value": "a"}}, "response_format"),
        ({"response_format": {**NAMED, "value": SCHEMA}}, "response_format"),
        ({"structured": {}}, "structured_outputs"),
        ({"structured": {"json_object": False}}, "structured_outputs"),
        ({"structured": {"regex": "a", "choice": ["b"]}}, "structured_outputs"),
        ({"response_format": {"type": "json_object"}, "regex": "a"}, "guided_regex"),
    ],
)
def test_refusals(asked: dict[str, Any], param: str) -> None:
    with pytest.raises(FieldRefused) as caught:
        grammar(**asked)
    assert caught.value.param == param
