"""A short run of the fuzzer of front processes; `python -m tests.fuzz.fronts` makes long ones."""

from __future__ import annotations

import pytest

from tests.fuzz.fronts import run

CASES = 400


@pytest.mark.e2e
@pytest.mark.parametrize("seed", [1, 2])
def test_every_answer_belongs_to_who_has_asked_for_it(seed: int) -> None:
    told = run(seed, CASES)
    assert told["attacks"] == CASES
    assert told["sound requests"]
