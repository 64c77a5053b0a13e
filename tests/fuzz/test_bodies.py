"""A short run of the fuzzer of bodies; `python -m tests.fuzz.bodies` makes long ones."""

from __future__ import annotations

import pytest

from tests.fuzz.bodies import run

CASES = 500


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_no_body_is_the_servers_fault(seed: int) -> None:
    told = run(seed, CASES)
    assert told.total() == CASES
    assert told[200] > CASES // 20
    assert told[400] > CASES // 20
