"""A short run of the fuzzer of both ways of a request; `python -m tests.fuzz.parsers` makes long ones."""

from __future__ import annotations

import pytest

from tests.fuzz.parsers import run

CASES = 300


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_both_ways_answer_the_same(seed: int) -> None:
    told = run(seed, CASES)
    assert told["200"] > CASES // 4
    assert told["400"]
