"""A short run of the fuzzer of gRPC's clients; `python -m tests.fuzz.grpc_clients` makes long ones."""

from __future__ import annotations

import pytest

from tests.fuzz.grpc_clients import run

CASES = 400


@pytest.mark.e2e
@pytest.mark.parametrize("seed", [1])
def test_every_answer_belongs_to_who_has_asked_for_it(seed: int) -> None:
    told = run(seed, CASES)
    assert sum(count for kind, count in told.items() if kind != "sound requests") == CASES
    assert told["sound requests"]
