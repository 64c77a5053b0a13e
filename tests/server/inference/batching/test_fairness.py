"""A model with many answers lets others have the event loop between them, where there are others."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from adapters.base import Parameters, Tensors
from server.codec.decoded_request import DecodedRequest
from server.inference.batching.batcher import Batcher
from server.inference.batching.merging import Predict
from server.inference.batching.policy import ExecutionPolicy, Traffic
from server.inference.batching.queue import Limits
from server.inference.batching.tuning import TUNING
from tests.asking import ALL_SHORT, put, submit

MANY = 4 * TUNING.answers_a_turn
LATELY = TUNING.alone_seconds


def test_a_model_is_alone_a_while_after_the_last_other_one() -> None:
    traffic = Traffic()
    assert not traffic.shared(0.0)
    for model, now in ((1, 10.0), (2, 10.1), (1, 10.2), (1, 10.2 + LATELY / 2)):
        traffic.asked(model, now)
        assert traffic.shared(now)
    traffic.asked(1, 10.2 + LATELY)
    assert not traffic.shared(10.2 + LATELY)


def test_answers_that_may_be_written_in_a_turn() -> None:
    traffic = Traffic()
    flooded, other, third = (ExecutionPolicy(Limits(), traffic=traffic) for _ in range(3))
    models = {policy: id(policy) for policy in (flooded, other, third)}
    traffic.asked(models[flooded], 0.0)
    traffic.asked(models[flooded], 10.0)
    assert flooded.answers_a_turn(10.0) == 0, "all"
    traffic.asked(models[other], 10.1)
    assert flooded.answers_a_turn(10.1) == TUNING.answers_a_turn
    traffic.asked_little(models[other], 10.2)
    assert flooded.answers_a_turn(10.2) == TUNING.answers_a_turn_beside_little
    assert other.answers_a_turn(10.2) == TUNING.answers_a_turn, "nobody else is asked a little"
    traffic.asked_little(models[third], 10.3)
    assert all(traffic.beside_little(model, 10.4) for model in models.values())
    traffic.asked_little(models[third], 11.25)
    assert traffic.beside_little(models[other], 11.3)
    assert not traffic.beside_little(models[third], 11.3)


def test_a_model_is_asked_a_little_as_long_as_hardly_anybody_waits_for_it() -> None:
    async def run() -> None:
        with ThreadPoolExecutor(1) as executor:
            traffic = Traffic()
            model, other = _short(traffic, executor), _short(traffic, executor)

            def beside() -> bool:
                return traffic.beside_little(id(other.policy), asyncio.get_running_loop().time())

            for _ in range(TUNING.little_streak):
                assert not beside()
                await submit(model, _call())
            await asyncio.gather(*(submit(model, _call()) for _ in range(TUNING.little_waiting)))
            assert beside()
            traffic._little_at = -LATELY
            await asyncio.gather(*(submit(model, _call()) for _ in range(TUNING.little_waiting + 2)))
            traffic._little_at = -LATELY
            await submit(model, _call())
            assert not beside()

    asyncio.run(run())


def _call() -> DecodedRequest:
    return DecodedRequest({"x": np.zeros(1)}, 1, {})


def _same(inputs: Tensors, _: Parameters) -> Tensors:
    return inputs


def _short(traffic: Traffic, executor: ThreadPoolExecutor, predict: Predict = _same) -> Batcher:
    """A model whose calls run on the event loop."""
    batcher = Batcher(predict, executor, steady=True, traffic=traffic, tuning=ALL_SHORT)
    for rows in (1, MANY):
        for _ in range(20):
            batcher.policy.inline.observe(rows, 0.0)
    return batcher


@pytest.mark.parametrize("alone", [False, True])
def test_answers_let_others_have_their_turns(alone: bool) -> None:
    order: list[str] = []

    async def run() -> None:
        with ThreadPoolExecutor(1) as executor:
            traffic = Traffic()
            flooded, other = _short(traffic, executor), _short(traffic, executor)
            over = asyncio.Event()
            left = iter(range(MANY, 0, -1))

            def answered(_: Any) -> None:
                order.append("flooded")
                number = next(left)
                if number == MANY and not alone:
                    put(other, _call(), lambda _: order.append("other"))
                if number == 1:
                    over.set()

            if not alone:
                await submit(other, _call())
            for _ in range(MANY):
                put(flooded, _call(), answered)
            if alone:
                traffic._changed = -LATELY
            await over.wait()
            await asyncio.sleep(0.001)
            assert flooded.idle

    asyncio.run(run())
    assert order.count("flooded") == MANY
    assert alone or order.index("other") <= 2 * TUNING.answers_a_turn


def test_what_waits_is_called_after_the_last_answer_and_closing_waits_for_it() -> None:
    async def run() -> None:
        with ThreadPoolExecutor(1) as executor:
            traffic = Traffic()
            flooded, other = _short(traffic, executor), _short(traffic, executor)
            await submit(other, _call())
            order: list[str] = []
            for number in range(MANY):
                put(flooded, _call(), partial(lambda number, _: order.append(f"{number}"), number))
            await asyncio.sleep(0)
            put(flooded, _call(), lambda _: order.append("later"))
            flooded.close(RuntimeError("closed"), lambda: order.append("idle"))  # type: ignore[arg-type]
            while "idle" not in order:  # noqa: ASYNC110  (nothing else tells)
                await asyncio.sleep(0.001)
            assert order[-1] == "idle"
            assert len(order) == MANY + 2

    asyncio.run(run())


@pytest.mark.parametrize("alone", [False, True])
def test_a_request_that_comes_singly_is_called_in_its_turn_where_others_are_asked(alone: bool) -> None:
    calls: list[int] = []

    def predict(inputs: Tensors, _: Parameters) -> Tensors:
        calls.append(len(inputs["x"]))
        return inputs

    async def run() -> None:
        with ThreadPoolExecutor(1) as executor:
            traffic = Traffic()
            light, other = _short(traffic, executor, predict), _short(traffic, executor)
            for _ in range(3):
                await submit(light, _call())  # singly
                if alone:
                    traffic._changed = -LATELY
                else:
                    await submit(other, _call())
                await asyncio.sleep(0.001)  # a turn later
                calls.clear()
                answered: list[Any] = []
                assert put(light, _call(), answered.append).finished is not alone
                for _ in range(3):
                    put(light, _call(), answered.append)
                assert len(answered) == (0 if alone else 1)
                await asyncio.sleep(0.001)
                assert len(answered) == 4
                assert calls == ([4] if alone else [1, 3])  # what came in the same turn shares a call in the next
                assert not put(light, _call(), answered.append).finished  # the latest did not come singly
                await asyncio.sleep(0.001)

    asyncio.run(run())
