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
from server.inference.batching.adaptive import WINDOW_CALLS
from server.inference.batching.batcher import Batcher
from server.inference.batching.executor import LARGE
from server.inference.batching.fairness import Fairness
from server.inference.batching.queue import Limits
from server.inference.batching.threads import ThreadPool


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
def asked_a_little(turns: Fairness) -> Iterator[None]:
    """Another model is, all the time."""
    turns.asked_little(0, float("inf"))
    yield
    turns._little_at = float("-inf")


def _call(rows: int = 1) -> DecodedRequest:
    return DecodedRequest({"x": np.arange(rows)}, rows, {})


@pytest.mark.parametrize(("cores", "beside", "alone"), [(1, 1, 4), (2, 1, 4), (3, 2, 4), (8, 4, 4)])
def test_a_core_is_left_to_a_model_that_is_asked_a_little(cores: int, beside: int, alone: int) -> None:
    async def run(expected: int, turns: Fairness) -> None:
        model = Held()
        batcher = Batcher(model, ThreadPool(8, "test", cores), Limits(lanes=4), merges=False, turns=turns)
        batcher.dispatcher.lanes.now = 4
        answers = [asyncio.ensure_future(batcher.submit(_call())) for _ in range(6)]
        assert await asyncio.to_thread(model.running, expected)
        model.gate.set()
        await asyncio.wait_for(asyncio.gather(*answers), 60)
        assert batcher.idle

    turns = Fairness()
    with asked_a_little(turns):
        asyncio.run(run(beside, turns))
    asyncio.run(run(alone, turns))


@pytest.mark.parametrize(("cores", "allowed", "parts"), [(2, 2, 1), (3, 3, 2), (8, 3, 3)])
def test_a_large_call_leaves_one_too(cores: int, allowed: int, parts: int) -> None:
    async def run() -> None:
        model, turns = Held(), Fairness()
        model.gate.set()
        batcher = Batcher(model, ThreadPool(8, "test", cores), cores=lambda: allowed, turns=turns)
        with asked_a_little(turns):
            await batcher.submit(_call(LARGE))
        await batcher.submit(_call(LARGE))
        assert len(model.rows) == parts + allowed

    asyncio.run(run())


def test_a_lane_that_may_not_be_used_is_not_found_useless() -> None:
    async def run() -> None:
        model, turns = Held(), Fairness()
        model.gate.set()
        batcher = Batcher(model, ThreadPool(8, "test", 2), Limits(lanes=2), merges=False, turns=turns)
        lanes = batcher.dispatcher.lanes
        lanes.now, lanes._rate = 2, float("inf")  # on trial, and nothing would be good enough
        with asked_a_little(turns):
            await asyncio.gather(*(batcher.submit(_call()) for _ in range(3 * WINDOW_CALLS)))
        assert lanes.now == 2

    asyncio.run(run())
