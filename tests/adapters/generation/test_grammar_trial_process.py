"""What the process of trials says about grammars."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.generation.grammar import Grammar
from adapters.generation.grammar_trial_process import Trials


def answer(kind: str, value: Any) -> tuple[str, list[str]]:
    source = Grammar.of({"kind": kind, "value": value}).source()
    found = json.loads(Trials().answer(json.dumps({"grammar": source, "schema": value})))
    return found["error"], found["place"]


def test_sound_ones() -> None:
    assert answer("json_schema", {"type": "object", "properties": {"a": {"type": "integer"}}}) == ("", [])
    assert answer("regex", "[a-z]+") == ("", [])
    assert answer("lark", 'start: "a" start | "b"') == ("", [])
    assert answer("choice", ["yes", "nö"]) == ("", [])


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "objekt"}, []),
        ({"properties": {"a": {"anyOf": [{}, {"type": "objekt"}]}}}, ["properties", "a", "anyOf", "1"]),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "objekt"}}}, ["$defs", "x"]),
    ],
)  # fmt: skip
def test_the_place_is_the_innermost_schema_with_the_error(schema: Any, place: list[str]) -> None:
    assert answer("json_schema", schema) == ("Invalid type: objekt", place)


def test_what_nothing_fits_and_what_cannot_be_held_to() -> None:
    assert "NoExtension" in answer("json_schema", {"$ref": "#"})[0]
    assert "uniqueItems" in answer("json_schema", {"uniqueItems": True})[0]
    assert "look-around" in answer("regex", "(?=a)b")[0]
