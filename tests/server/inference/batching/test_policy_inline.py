"""Calls move to the event loop when calls of their size have proved short, and back when one is not."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from adapters.base import Parameters, Tensors
from server.codec.request import DecodedRequest
from server.errors import ModelFailed
from server.inference.batching import batcher as batcher_module
from server.inference.batching.batcher import Batcher
from server.inference.batching.policy import InlinePolicy
from server.inference.batching.queue import Limits
from server.inference.batching.tuning import TUNING
from tests.asking import ALL_SHORT, submit

PROOF, SHORT = TUNING.inline_proof_calls, TUNING.inline_seconds


def proved(rows: int) -> InlinePolicy:
    inline = InlinePolicy(steady=True)
    for _ in range(PROOF):
        inline.observe(rows, SHORT / 2)
    return inline


def test_a_size_is_proved_by_calls_of_that_size() -> None:
    inline = InlinePolicy(steady=True)
    for _ in range(PROOF - 1):
        inline.observe(4, SHORT / 2)
        assert not inline.allows(4)
    inline.observe(5, SHORT / 2)  # as large as 4, in bits
    assert [rows for rows in range(1, 20) if inline.allows(rows)] == [1, 2, 3, 4, 5, 6, 7]


def test_a_long_call_ends_it_for_its_size_and_larger_ones() -> None:
    inline = proved(1)
    for _ in range(PROOF):
        inline.observe(100, SHORT / 2)
    assert inline.allows(100)
    inline.observe(100, SHORT * 2)
    assert not inline.allows(100)
    assert inline.allows(1)
    inline.observe(1, SHORT * 2)
    assert not inline.allows(1)


def test_models_that_are_not_steady_stay_in_threads() -> None:
    inline = InlinePolicy()
    for _ in range(100):
        inline.observe(1, 0.0)
    assert not inline.allows(1)


def test_enormous_calls_have_a_size_too() -> None:
    inline = InlinePolicy(steady=True)
    inline.observe(10**30, 1.0)
    assert not inline.allows(10**30)


def double(inputs: Tensors, parameters: Parameters) -> Tensors:
    if (inputs["x"] < 0).any():
        raise ValueError("poison")
    return {"y": inputs["x"] * 2}


def call(*values: float) -> DecodedRequest:
    return DecodedRequest({"x": np.array(values)}, len(values), {})


@pytest.mark.parametrize("steady", [True, False])
def test_where_calls_run(steady: bool) -> None:
    threads: list[bool] = []

    def predict(inputs: Tensors, parameters: Parameters) -> Tensors:
        threads.append(threading.current_thread() is not threading.main_thread())
        return double(inputs, parameters)

    async def ask() -> None:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(predict, pool, steady=steady, tuning=ALL_SHORT)
            for _ in range(PROOF + 3):
                assert (await submit(batcher, call(1.0)))["y"].tolist() == [2.0]

    asyncio.run(ask())
    assert threads == [True] * PROOF + [not steady] * 3


def test_on_the_event_loop_each_gets_their_own_and_the_culprit_fails_alone() -> None:
    async def ask() -> list[Any]:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(double, pool, Limits(max_rows=8), steady=True, tuning=ALL_SHORT)
            batcher.policy.inline = proved(8)
            asked = [call(float(i)) if i % 5 else call(-1.0, 1.0) for i in range(1, 60)]
            return await asyncio.gather(*map(partial(submit, batcher), asked), return_exceptions=True)

    for i, outcome in enumerate(asyncio.run(ask()), start=1):
        if i % 5:
            assert outcome["y"].tolist() == [2.0 * i]
        else:
            assert type(outcome) is ModelFailed


def test_a_call_that_takes_its_time_goes_back_to_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[str] = []
    used = [0.0]
    monkeypatch.setattr(batcher_module, "thread_time", lambda: used[0])

    def predict(inputs: Tensors, parameters: Parameters) -> Tensors:
        places.append(threading.current_thread().name)
        if inputs["x"][0] == 7:
            used[0] += 10 * SHORT
        return double(inputs, parameters)

    async def ask() -> None:
        with ThreadPoolExecutor(1, "pool") as pool:
            batcher = Batcher(predict, pool, steady=True)
            batcher.policy.inline = proved(1)
            for value in (1.0, 7.0, 1.0):
                await submit(batcher, call(value))

    asyncio.run(ask())
    assert [place.startswith("pool") for place in places] == [False, False, True]
