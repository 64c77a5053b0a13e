"""How many calls run beside each other, where another model needs a core."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from adapters.base import Parameters, Tensors
from server.codec.request import DecodedRequest
from server.inference.batching.batcher import Batcher
from server.inference.batching.policy import Traffic
from server.inference.batching.queue import Limits
from server.inference.batching.threads import ThreadPool
from server.inference.batching.tuning import TUNING
from tests.asking import submit


class Held:
    """A model whose calls wait until they are let go."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.rows: list[int] = []

    def __call__(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        self.rows.append(len(inputs["x"]))
        self.entered.release()
        assert self.gate.wait(60)
        return {"y": inputs["x"]}

    def running(self, expected: int) -> bool:
        """Whether so many calls have begun, and no more."""
        begun = all(self.entered.acquire(timeout=60) for _ in range(expected))
        return begun and not self.entered.acquire(timeout=0.05)


@contextmanager
def asked_a_little(traffic: Traffic) -> Iterator[None]:
    """Another model is, all the time."""
    traffic.asked_little(0, float("inf"))
    yield
    traffic._little_at = float("-inf")


def _call(rows: int = 1) -> DecodedRequest:
    return DecodedRequest({"x": np.arange(rows)}, rows, {})


@pytest.mark.parametrize(("cores", "beside", "alone"), [(1, 1, 4), (2, 1, 4), (3, 2, 4), (8, 4, 4)])
def test_a_core_is_left_to_a_model_that_is_asked_a_little(cores: int, beside: int, alone: int) -> None:
    async def run(expected: int, traffic: Traffic) -> None:
        model = Held()
        batcher = Batcher(model, ThreadPool(8, "test", cores), Limits(concurrency=4), merges=False, traffic=traffic)
        batcher.policy.concurrency.now = 4
        answers = [asyncio.ensure_future(submit(batcher, _call())) for _ in range(6)]
        assert await asyncio.to_thread(model.running, expected)
        model.gate.set()
        await asyncio.wait_for(asyncio.gather(*answers), 60)
        assert batcher.idle

    traffic = Traffic()
    with asked_a_little(traffic):
        asyncio.run(run(beside, traffic))
    asyncio.run(run(alone, traffic))


@pytest.mark.parametrize(("cores", "allowed", "parts"), [(2, 2, 1), (3, 3, 2), (8, 3, 3)])
def test_a_large_call_leaves_one_too(cores: int, allowed: int, parts: int) -> None:
    async def run() -> None:
        model, traffic = Held(), Traffic()
        model.gate.set()
        batcher = Batcher(model, ThreadPool(8, "test", cores), cores=lambda: allowed, traffic=traffic)
        with asked_a_little(traffic):
            await submit(batcher, _call(TUNING.split_rows))
        await submit(batcher, _call(TUNING.split_rows))
        assert len(model.rows) == parts + allowed

    asyncio.run(run())


def test_a_core_that_may_not_be_used_is_not_found_useless() -> None:
    async def run() -> None:
        model, traffic = Held(), Traffic()
        model.gate.set()
        batcher = Batcher(model, ThreadPool(8, "test", 2), Limits(concurrency=2), merges=False, traffic=traffic)
        limit = batcher.policy.concurrency
        limit.now, limit._rate = 2, float("inf")  # on trial, and nothing would be good enough
        with asked_a_little(traffic):
            await asyncio.gather(*(submit(batcher, _call()) for _ in range(3 * TUNING.concurrency_window_calls)))
        assert limit.now == 2

    asyncio.run(run())
