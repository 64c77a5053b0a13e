"""A short run of the fuzzer of workers' messages; `python -m tests.fuzz.frames` makes long ones."""

from __future__ import annotations

import pytest

from server.runtime import ipc
from tests.fuzz.frames import run

CASES = 1000


@pytest.mark.parametrize("seed", [1, 2])
def test_no_message_of_a_worker_does_more_than_be_refused(seed: int) -> None:
    told = run(seed, CASES)
    assert told.total() == CASES
    assert told["taken"] > CASES // 20
    assert told["refused"] > CASES // 20


def test_what_a_message_must_not_do_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KeyError("id")

    monkeypatch.setattr(ipc, "unpack", crash)
    with pytest.raises(AssertionError, match=r"seed 1.*KeyError"):
        run(1, 100)
