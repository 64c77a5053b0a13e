"""Regular expressions that cannot take long, and those that can."""

from __future__ import annotations

import random
import re

import pytest

from adapters.shared.patterns import KNOWN, is_quick

SLOW = (
    "(a+)+$",
    "(a|a)*$",
    "a+b",
    "a*a*b",
    "(?:a|aa)+$",
    r"(a*)*\1b",
    r"\w+@",
    "a{2,}b",
    ".*x",
    "(.*)*",
    r"\s+$",
    "a+?b",
)


@pytest.mark.parametrize("seed", range(20))
def test_what_may_take_long_is_not_called_quick(seed: int) -> None:
    rng = random.Random(seed)
    for slow in SLOW:
        parts = [rng.choice([r"\d{1,3}", "[a-z]", "x?", r"\p{L}", " "]) for _ in range(rng.randrange(4))]
        others = [rng.choice([r"\s+", "[0-9]+", "-", *sorted(KNOWN)]) for _ in range(rng.randrange(3))]
        alternatives = [*others, "".join(parts) + slow]
        rng.shuffle(alternatives)
        assert not is_quick("|".join(alternatives))


@pytest.mark.parametrize(
    "pattern", [None, 1, b"a", ["a"], "", "|", "a|", "a" * 3000, "[a-z" * 500, "(?<=a)b", "[a-z&&[b]]", r"\K"]
)
def test_what_is_no_simple_pattern_is_not_called_quick(pattern: object) -> None:
    assert not is_quick(pattern)


@pytest.mark.parametrize("seed", range(20))
def test_simple_patterns_and_known_ones_are_quick(seed: int) -> None:
    """As Python's own matcher shows: a text of what the pattern looks for takes a step a character."""
    rng = random.Random(seed)
    alternatives = []
    for _ in range(rng.randrange(1, 5)):
        parts = [
            rng.choice([r"\d{1,3}", "[a-z]", "x?", r"\w", " ", ".", r"[^\s-]", r"\."])
            for _ in range(rng.randrange(1, 4))
        ]
        alternatives.append("".join(parts) + rng.choice(["", "[a-z]+", r"\s*", r"\w{2,}", ".+", r"[^.]*"]))
    pattern = "|".join(alternatives)
    assert is_quick(pattern)
    for text in ("a" * 100_000, " " * 100_000, "1 " * 50_000, "x.-" * 30_000):
        assert sum(len(found) for found in re.findall(pattern, text)) <= 100_000


def test_known_patterns_are_quick() -> None:
    assert all(map(is_quick, KNOWN))
