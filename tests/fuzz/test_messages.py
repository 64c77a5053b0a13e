"""A short run of the fuzzer of gRPC's messages; `python -m tests.fuzz.messages` makes long ones."""

from __future__ import annotations

import pytest

from tests.fuzz.messages import run

CASES = 500


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_no_message_is_the_servers_fault(seed: int) -> None:
    told = run(seed, CASES)
    assert told.total() == CASES
    assert told["OK"]
    assert told["INVALID_ARGUMENT"]
