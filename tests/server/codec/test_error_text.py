"""What a message repeats of a request is short, whatever was sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from server.codec.error_text import as_word, at, described, nearest, quoted, resembling, shortened, shown


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ("a", "the string 'a'"),
        ("x" * 61, f"the string '{'x' * 60}…'"),
        (3, "3"),
        (1.5, "1.5"),
        (2**128, "an integer of 129 bits"),
        ({"a": 1}, "an object"),
        ([1], "a list"),
    ],
)
def test_values(value: Any, words: str) -> None:
    assert described(value) == words


def test_a_deeply_nested_value_is_described_all_the_same() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert described(value) == "a list"
    assert as_word(value) == "a list"
    while value:  # or its end would be as deep
        value = value.pop()


def test_texts_are_cut() -> None:
    assert quoted("x" * 60) == repr("x" * 60)
    assert quoted("x" * 1000) == repr("x" * 60 + "…")


def test_what_stands_where_a_word_has_to_be() -> None:
    assert as_word("mcp") == "'mcp'"
    assert as_word(None) == "null"
    assert as_word("x" * 1000) == quoted("x" * 1000)


def test_positions_and_shapes() -> None:
    assert at("instances", ()) == "instances"
    assert at("instances", (0, 2)) == "instances[0][2]"
    assert shown(range(8)) == "[0, 1, 2, 3, 4, 5, 6, 7]"
    assert shown(range(9)) == "[0, 1, 2, 3, 4, 5, 6, 7, …]"


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("agee", ["size", "age"], "did you mean 'age'?"),
        ("zzz", ["size", "age"], "known: 'size', 'age'"),
        ("zzz", "abcdefghijkl", "known: 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j' and 2 more"),
        ("zzz", [], "known: "),
    ],
)
def test_the_nearest_name(name: str, known: Sequence[str], hint: str) -> None:
    assert nearest(name, known) == hint


def test_resembling_is_a_matter_of_degree() -> None:
    assert resembling("metod", ["method"], 0.75) == "method"
    assert resembling("meat", ["method"], 0.6) == "method"
    assert resembling("meat", ["method"], 0.75) is None
    assert resembling("a", []) is None


def test_no_more_than_a_thousand_names_are_compared() -> None:
    known = [f"column {i}" for i in range(1000)]
    assert resembling("quite other", [*known, "quite other"]) is None
    assert resembling("quite other", [*known[1:], "quite other"]) == "quite other"


def test_a_name_that_looks_the_same_is_told_apart() -> None:
    composed, decomposed = "gr\u00f6\u00dfe", "gro\u0308\u00dfe"
    for sent, known in ((decomposed, composed), (composed, decomposed)):
        assert nearest(sent, ["a", known]) == (
            f"did you mean {known!r}? It looks the same, and is written with other characters of Unicode"
        )
    assert nearest("gr\u00f6\u00df", [composed]) == f"did you mean {composed!r}?"


def test_a_text_is_shortened_once_it_is_long() -> None:
    assert shortened("a" * 60) == "a" * 60
    assert shortened("a" * 61) == "a" * 60 + "…"
