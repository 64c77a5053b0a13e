"""A model with many answers lets others have the event loop between them, where there are others."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from adapters.base import Parameters, Tensors
from server.codec.request import DecodedRequest
from server.inference.batching.batcher import Batcher
from server.inference.batching.fairness import AT_ONCE, AT_ONCE_BESIDE_FEW, FEW, IN_A_ROW, LATELY, Fairness
from server.inference.batching.merging import Predict

MANY = 4 * AT_ONCE
pytestmark = pytest.mark.usefixtures("quick")


def test_a_model_is_alone_a_while_after_the_last_other_one() -> None:
    turns = Fairness()
    assert not turns.shared(0.0)
    for model, now in ((1, 10.0), (2, 10.1), (1, 10.2), (1, 10.2 + LATELY / 2)):
        turns.asked(model, now)
        assert turns.shared(now)
    turns.asked(1, 10.2 + LATELY)
    assert not turns.shared(10.2 + LATELY)


def test_answers_that_may_be_written_at_once() -> None:
    turns = Fairness()
    flooded, other, third = 1, 2, 3
    turns.asked(flooded, 0.0)
    turns.asked(flooded, 10.0)
    assert turns.at_once(flooded, 10.0) == 0
    turns.asked(other, 10.1)
    assert turns.at_once(flooded, 10.1) == AT_ONCE
    turns.asked_little(other, 10.2)
    assert turns.at_once(flooded, 10.2) == AT_ONCE_BESIDE_FEW
    assert turns.at_once(other, 10.2) == AT_ONCE  # nobody else is asked a little
    turns.asked_little(third, 10.3)
    assert all(turns.beside_few(model, 10.4) for model in (flooded, other, third))
    turns.asked_little(third, 11.25)
    assert turns.beside_few(other, 11.3)
    assert not turns.beside_few(third, 11.3)


def test_a_model_is_asked_a_little_as_long_as_hardly_anybody_waits_for_it() -> None:
    async def run() -> None:
        with ThreadPoolExecutor(1) as executor:
            turns = Fairness()
            model, other = _short(turns, executor), _short(turns, executor)

            def beside() -> bool:
                return turns.beside_few(id(other), asyncio.get_running_loop().time())

            for _ in range(IN_A_ROW):
                assert not beside()
                await model.submit(_call())
            await asyncio.gather(*(model.submit(_call()) for _ in range(FEW)))
            assert beside()
            turns._little_at = -LATELY
            await asyncio.gather(*(model.submit(_call()) for _ in range(FEW + 2)))
            turns._little_at = -LATELY
            await model.submit(_call())
            assert not beside()

    asyncio.run(run())


def _call() -> DecodedRequest:
    return DecodedRequest({"x": np.zeros(1)}, 1, {})


def _same(inputs: Tensors, _: Parameters) -> Tensors:
    return inputs


def _short(turns: Fairness, executor: ThreadPoolExecutor, predict: Predict = _same) -> Batcher:
    """A model whose calls run on the event loop."""
    batcher = Batcher(predict, executor, steady=True, turns=turns)
    for rows in (1, MANY):
        for _ in range(20):
            batcher.dispatcher.pace.told(rows, 0.0)
    return batcher


@pytest.mark.parametrize("alone", [False, True])
def test_answers_let_others_have_their_turns(alone: bool) -> None:
    order: list[str] = []

    async def run() -> None:
        with ThreadPoolExecutor(1) as executor:
            turns = Fairness()
            flooded, other = _short(turns, executor), _short(turns, executor)
            over = asyncio.Event()
            left = iter(range(MANY, 0, -1))

            def answered(_: Any) -> None:
                order.append("flooded")
                number = next(left)
                if number == MANY and not alone:
                    other.put(_call(), lambda _: order.append("other"))
                if number == 1:
                    over.set()

            if not alone:
                await other.submit(_call())
            for _ in range(MANY):
                flooded.put(_call(), answered)
            if alone:
                turns._changed = -LATELY
            await over.wait()
            await asyncio.sleep(0.001)
            assert flooded.idle

    asyncio.run(run())
    assert order.count("flooded") == MANY
    assert alone or order.index("other") <= 2 * AT_ONCE


def test_what_waits_is_called_after_the_last_answer_and_closing_waits_for_it() -> None:
    async def run() -> None:
        with ThreadPoolExecutor(1) as executor:
            turns = Fairness()
            flooded, other = _short(turns, executor), _short(turns, executor)
            await other.submit(_call())
            order: list[str] = []
            for number in range(MANY):
                flooded.put(_call(), partial(lambda number, _: order.append(f"{number}"), number))
            await asyncio.sleep(0)
            flooded.put(_call(), lambda _: order.append("later"))
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
            turns = Fairness()
            light, other = _short(turns, executor, predict), _short(turns, executor)
            for _ in range(3):
                await light.submit(_call())  # singly
                if alone:
                    turns._changed = -LATELY
                else:
                    await other.submit(_call())
                await asyncio.sleep(0.001)  # a turn later
                calls.clear()
                answered: list[Any] = []
                assert light.put(_call(), answered.append).over is not alone
                for _ in range(3):
                    light.put(_call(), answered.append)
                assert len(answered) == (0 if alone else 1)
                await asyncio.sleep(0.001)
                assert len(answered) == 4
                assert calls == ([4] if alone else [1, 3])  # what came in the same turn shares a call in the next
                assert not light.put(_call(), answered.append).over  # the latest did not come singly
                await asyncio.sleep(0.001)

    asyncio.run(run())
