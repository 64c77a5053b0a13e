"""Grammars to masks of one vocabulary."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import torch

from adapters.generation import grammar_compiler
from adapters.generation.grammar import Grammar, GrammarLimits
from adapters.generation.grammar_compiler import GrammarCompiler
from adapters.generation.refusal import RefusedJob
from adapters.generation.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def compiler(vocabulary: Vocabulary) -> Iterator[GrammarCompiler]:
    limits = GrammarLimits(size=10_000, seconds=120.0)
    with closing(GrammarCompiler(vocabulary, frozenset({vocabulary.tokenizer.eos_token_id}), limits)) as compiler:
        yield compiler


def made(compiler: GrammarCompiler, vocabulary: Vocabulary, grammar: Grammar) -> str:
    """The longest text that it lets a model write which likes low ids."""
    mask, ids = compiler.compile(grammar)(), []
    while True:
        row = torch.zeros(vocabulary.size)
        mask.apply(row)
        token = int(row.argmax())
        if token == vocabulary.tokenizer.eos_token_id:
            return vocabulary.decode(ids)
        ids.append(token)
        mask.advance(token)


def test_a_text_ends_where_its_grammar_does(compiler: GrammarCompiler, vocabulary: Vocabulary) -> None:
    assert made(compiler, vocabulary, Grammar("choice", ["one two"], "f")) == "one two"
    assert made(compiler, vocabulary, Grammar("regex", "x{7}", "f")) == "x" * 7
    constant = {"type": "object", "properties": {"a": {"const": "é"}}, "required": ["a"], "additionalProperties": False}
    assert "".join(made(compiler, vocabulary, Grammar("json_schema", constant, "f")).split()) == '{"a":"é"}'


def test_large_grammars_are_not_kept_together(compiler: GrammarCompiler) -> None:
    """Each takes hundreds of times its length in memory."""
    small, one, other = (
        Grammar("choice", [letter * length], "f") for letter, length in (("a", 9), ("b", 6000), ("c", 6000))
    )
    for grammar in (one, other, small):
        compiler.compile(grammar)
    assert compiler.kept(one) is None
    assert compiler.kept(other) is not None
    assert compiler.kept(small) is not None


def test_special_tokens_are_no_text(compiler: GrammarCompiler, vocabulary: Vocabulary) -> None:
    mask = compiler.compile(Grammar("regex", r"(.|\n)+", "f"))()
    row = torch.zeros(vocabulary.size + 3)  # models' rows may be longer than their vocabulary
    mask.apply(row)
    assert all(row[number] == -torch.inf for number in vocabulary.special)
    assert row[vocabulary.encode_rendered("a")[0]] == 0
    assert row[len(vocabulary.tokenizer) :].max() == -torch.inf


def test_each_sequence_has_a_mask_of_its_own(compiler: GrammarCompiler, vocabulary: Vocabulary) -> None:
    make = compiler.compile(Grammar("choice", ["ab"], "f"))
    one, other = make(), make()
    first, second = vocabulary.encode_rendered("a")[0], vocabulary.encode_rendered("b")[0]
    one.advance(first)
    for mask, allowed in ((one, second), (other, first)):
        row = torch.zeros(vocabulary.size)
        mask.apply(row)
        assert row[allowed] == 0
        assert row[first if mask is one else second] == -torch.inf


def test_what_was_compiled_is_kept(compiler: GrammarCompiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_compiler, "_KEPT", 2)
    grammars = [Grammar("regex", f"kept{number}", "f") for number in range(3)]
    assert compiler.kept(grammars[0]) is None
    for grammar in grammars:
        compiler.compile(grammar)
    assert [compiler.kept(grammar) is not None for grammar in grammars] == [False, True, True]


@pytest.mark.parametrize(
    ("grammar", "told"),
    [
        (Grammar("json_schema", {"items": {"type": "objekt"}}, "f.s"), r"f\.s\.items: Invalid type: objekt"),
        (Grammar("regex", "(a", "f"), "f: .*unclosed group"),
        (Grammar("lark", "start: foo", "f"), "unknown name"),
        (Grammar("json_schema", {"$ref": "#"}, "f"), "f: there is no text that would fit it"),
        (Grammar("regex", "a" * 10_001, "f"), "10001 bytes"),
    ],
)
def test_refusals(compiler: GrammarCompiler, grammar: Grammar, told: str) -> None:
    with pytest.raises(RefusedJob, match=told) as caught:
        compiler.compile(grammar)
    assert (caught.value.param, caught.value.code) == ("f", "invalid_grammar")


def test_of_a_grammar_that_was_made_of_tools_nothing_is_shown(compiler: GrammarCompiler) -> None:
    made = 'start: call\ncall: "(" a0\na0: %json {"type": "objekt"}'
    for field, told in (("tools", "^tools: Invalid type: objekt$"), ("f", r"^f: at 3\(5\): failed .* start: call")):
        with pytest.raises(RefusedJob, match=told):
            compiler.compile(Grammar("lark", made, field))


def test_models_that_cannot_be_held_to_one(vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    grammar = Grammar("regex", "a", "f")
    with closing(GrammarCompiler(vocabulary, frozenset())) as endless, pytest.raises(RefusedJob, match="no end of seq"):
        endless.compile(grammar)
    with closing(GrammarCompiler(vocabulary, frozenset({1}))) as compiler:
        monkeypatch.setattr(vocabulary, "_backend", None)
        with pytest.raises(RefusedJob, match="tokenizers library"):
            compiler.compile(grammar)


def test_without_llguidance_it_is_said(vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with closing(GrammarCompiler(vocabulary, frozenset({1}))) as compiler:
        with pytest.raises(RefusedJob, match="install it") as caught:
            compiler.compile(Grammar("regex", "a", "f"))
        assert caught.value.code == "unsupported_parameter"


def test_a_grammar_that_grows_too_complex_ends_its_own_sequence(vocabulary: Vocabulary) -> None:
    class Failing:
        def is_error(self) -> bool:
            return True

        def get_error(self) -> str:
            return "too many states\n<state>"

        def deep_copy(self) -> Any:
            return self

    with closing(GrammarCompiler(vocabulary, frozenset({1}))) as compiler:
        mask = compiler._masks(Grammar("regex", "a", "f"), Failing())()
        with pytest.raises(RefusedJob, match=r"too many states$"):
            mask.apply(torch.zeros(9))
