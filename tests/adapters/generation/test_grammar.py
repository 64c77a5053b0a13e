"""Grammars as requests ask for them: what is one, how much of one is taken, and how it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.generation.grammar import Grammar, GrammarLimits, with_space
from adapters.generation.refusal import RefusedJob


def grammar(kind: str, value: Any = None) -> Grammar:
    return Grammar.of({"kind": kind, "value": value, "field": "response_format.json_schema.schema"})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("x", "kind"),
        ({"kind": "xml"}, "kind"),
        ({"kind": "json_schema", "value": []}, "must be an object"),
        ({"kind": "json_schema"}, "must be an object"),
        ({"kind": "regex", "value": ""}, "not an empty one"),
        ({"kind": "lark", "value": 5}, "must be a text"),
        ({"kind": "choice", "value": []}, "at least one"),
        ({"kind": "choice", "value": ["a", ""]}, "none of them empty"),
    ],
)
def test_what_is_no_grammar(given: Any, told: str) -> None:
    with pytest.raises(RefusedJob, match=told):
        Grammar.of(given)


def test_a_refusal_names_the_field_and_the_place() -> None:
    error = grammar("json_object").refused("no", ".properties.a")
    assert str(error) == "response_format.json_schema.schema.properties.a: no"
    assert (error.param, error.code) == ("response_format", "invalid_grammar")


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels - 1):
        schema = {"items": schema}
    return schema


def test_sizes_and_depths_are_bounded() -> None:
    limits = GrammarLimits(size=100, depth=5)
    grammar("json_schema", nested(5)).check(limits)
    with pytest.raises(RefusedJob, match=r"6 levels deep, and 5 are taken \(options.grammar_depth\)"):
        grammar("json_schema", nested(6)).check(limits)
    with pytest.raises(RefusedJob, match=r"takes 101 bytes, and 100 are taken \(options.grammar_bytes\)"):
        grammar("regex", "x" * 101).check(limits)
    grammar("regex", "(" * 5 + "a" + ")" * 5 + r"\(" * 9 + "()" * 9).check(limits)
    with pytest.raises(RefusedJob, match="6 levels deep"):
        grammar("lark", "start: " + "(" * 6).check(limits)


def test_a_schema_far_deeper_than_python_s_own_limit_is_measured() -> None:
    with pytest.raises(RefusedJob, match="200 levels"):
        grammar("json_schema", nested(200)).check(GrammarLimits(size=10_000))


def test_how_they_are_written() -> None:
    def written(given: Grammar) -> Any:
        return json.loads(given.source())["grammars"][0]

    assert written(grammar("json_object"))["json_schema"]["type"] == "object"
    assert written(grammar("lark", "start: X")) == {"lark_grammar": "start: X"}
    assert written(grammar("choice", ["a", 'b"\n'])) == {"lark_grammar": r'start: "a" | "b\"\n"'}
    assert written(grammar("regex", "a/b\\/c\\\\\nd")) == {"lark_grammar": r"start: /a\/b\/c\\\nd/"}


def test_white_space_is_bounded_and_other_words_to_the_compiler_stay() -> None:
    assert with_space(True) is True
    own = with_space({"x-guidance": {"coerce_one_of": True}})["x-guidance"]
    assert own["coerce_one_of"] is True
    assert "{0,20}" in own["whitespace_pattern"]
