"""What is taken in from a process that is not trusted is bounded, and so is what it unfolds to."""

from __future__ import annotations

import threading
from typing import Any

import msgpack
import numpy as np
import pytest

from server.runtime.receiving import ReceiveBudget, ReceiveLimits, unfolded
from tests.patience import wait_for

MIB = 2**20


def test_a_budget_is_held_as_long_as_the_memory_is() -> None:
    budget = ReceiveBudget(8 * MIB)
    limits = ReceiveLimits(budget=budget)
    buffer = limits.buffer(4 * MIB)
    array = np.frombuffer(buffer.data[64 : 64 + MIB], np.float32).reshape(-1, 4)
    del buffer
    assert budget.used == 4 * MIB
    view = array[1:]
    del array
    assert budget.used == 4 * MIB
    del view
    assert budget.used == 0


def test_who_finds_no_room_waits_for_it() -> None:
    budget = ReceiveBudget(8 * MIB)
    limits = ReceiveLimits(budget=budget)
    held = [limits.buffer(5 * MIB)]
    got = threading.Event()
    waiting = threading.Thread(target=lambda: (held.append(limits.buffer(4 * MIB)), got.set()))
    waiting.start()
    limits.buffer(3 * MIB)  # what fits does
    limits.buffer(1000)  # and what is small is not counted
    assert not got.is_set()
    assert budget.used == 5 * MIB
    held.pop(0)
    wait_for(got.is_set)
    waiting.join()
    assert budget.used == 4 * MIB


def test_what_is_larger_than_the_budget_comes_alone() -> None:
    budget = ReceiveBudget(2 * MIB)
    buffer = ReceiveLimits(budget=budget).buffer(3 * MIB)
    assert (buffer.nbytes, budget.used) == (3 * MIB, 3 * MIB)
    assert not ReceiveLimits().waits(2**40)


@pytest.mark.parametrize("small", [[], {}, [None], {"a": 1}, msgpack.ExtType(1, b"\x90")], ids=repr)
def test_small_containers_unfold_to_much(small: Any) -> None:
    packed = msgpack.packb([[small] * 1000])
    assert unfolded(memoryview(packed), 1, 10**9) >= 64 * 1000
    assert not ReceiveLimits(unfolded=50 * 1000).fits(memoryview(packed), 1)
    assert ReceiveLimits().fits(memoryview(packed), 1)


def test_texts_unfold_to_little_more_than_themselves() -> None:
    packed = memoryview(msgpack.packb(["x" * 1000, b"y" * 1000] * 1000))
    assert 2_000_000 < unfolded(packed, 2000, 10**9) < 2_200_000
    assert ReceiveLimits(unfolded=3_000_000).fits(packed, 2000)
    assert not ReceiveLimits(unfolded=1_000_000).fits(packed, 2000)


def test_no_more_is_counted_than_need_be() -> None:
    packed = memoryview(msgpack.packb([[]] * 10_000))
    assert unfolded(packed, 10_000, 1000) < 1200
    assert unfolded(packed, 3, 10**9) == 3 * 72  # the list is longer than its shape says, which is an error anyway
    with pytest.raises(ValueError, match="Unexpected type"):
        unfolded(memoryview(b"\x80"), 1, 1000)
