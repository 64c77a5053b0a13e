"""Dear calls wait for what is on its way, begin beside others only where that pays, and share what waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from adapters.base import Parameters, Tensors
from server.codec.decoded_request import DecodedRequest
from server.inference.batching.adaptive import CallCost, Coalescing
from server.inference.batching.batcher import Batcher
from server.inference.batching.merging import Outcome
from server.inference.batching.queue import Limits
from server.inference.batching.tuning import TUNING
from tests.asking import ALL_SHORT, put, submit
from tests.patience import becomes

CHEAP = TUNING.coalesce_seconds / 2  #: seconds of a call's fixed part
PATIENCE = 60.0  #: seconds until a test gives up waiting


class Known(CallCost):
    """What is known of a model's calls before the first, and not learned from them."""

    def observe(self, rows: int, seconds: float) -> None:
        """It is no news."""


class Model:
    """Remembers its calls; waits at its gate when that is shut."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.calls: list[int] = []

    def __call__(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        self.calls.append(len(inputs["x"]))
        assert self.gate.wait(PATIENCE)
        return inputs


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def batcher_of(
    model: Model, executor: ThreadPoolExecutor, fixed: float, row: float, concurrency: int = 1, *, merges: bool = True
) -> Batcher:
    """The queue of a model whose calls take `fixed` seconds, and `row` a row."""
    batcher = Batcher(model, executor, Limits(concurrency=concurrency, fixed_concurrency=True), merges)
    batcher.policy.cost = batcher.policy.coalescing.cost = Known(fixed, row)
    return batcher


def ask(batcher: Batcher, count: int) -> list[asyncio.Task[Tensors]]:
    return [asyncio.create_task(submit(batcher, DecodedRequest({"x": np.zeros(1)}, 1, {}))) for _ in range(count)]


async def begun(model: Model, calls: list[int]) -> None:
    """Wait until these calls have begun, whenever their threads get a core; then see that no other one does."""
    await becomes(lambda: len(model.calls) >= len(calls))
    await asyncio.sleep(0.02)
    assert model.calls == calls


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def come_one_by_one(batcher: Batcher, count: int) -> list[asyncio.Task[Tensors]]:
    """A request in every turn of the event loop."""
    tasks = []
    for _ in range(count):
        tasks += ask(batcher, 1)
        await turns(1)
    return tasks


# --- what calls cost --------------------------------------------------------------------------------------------------


def test_the_fixed_part_is_told_from_that_of_each_row() -> None:
    cost = CallCost()
    for rows in (1, 16, 4, 64, 8) * 4:
        cost.observe(rows, 0.002 + 0.0002 * rows)
    assert cost.fixed == pytest.approx(0.002)
    assert cost.row == pytest.approx(0.0002)
    assert Coalescing(256, cost).enough == pytest.approx(10, abs=1)


def test_while_all_calls_are_alike_all_of_their_time_may_be_fixed() -> None:
    cost = CallCost()
    cost.observe(1, 0.002)
    assert (cost.fixed, cost.row) == (0.002, 0.0)
    assert Coalescing(256, cost).enough == 256


def test_where_rows_take_it_all_nothing_is_fixed() -> None:
    cost = CallCost()
    for rows in (1, 2, 3, 4) * 4:
        cost.observe(rows, 0.01 * rows)
    assert cost.fixed == pytest.approx(0, abs=1e-9)
    assert cost.fixed < TUNING.coalesce_seconds


def test_what_changes_is_learned() -> None:
    cost = CallCost()
    for fixed in (0.1, 0.002):
        for rows in (1, 16, 4, 64) * 150:
            cost.observe(rows, fixed + 0.001 * rows)
    assert cost.fixed == pytest.approx(0.002, rel=0.1)


# --- when a call begins -----------------------------------------------------------------------------------------------


def test_a_dear_call_waits_until_a_turn_brings_nothing_new() -> None:
    coalescing = Coalescing(8, CallCost(1.0, 0.1))
    assert [coalescing.waits(count, 0.0) for count in (1, 3, 4, 4)] == [True, True, True, False]
    assert not coalescing.waits(8, 0.0), "no call may have more"


def test_no_call_waits_longer_than_it_saves() -> None:
    coalescing = Coalescing(256, CallCost(1.0, 0.1))
    assert coalescing.waits(1, 10.0)
    assert coalescing.waits(2, 10.9)
    assert not coalescing.waits(3, 11.0)
    assert coalescing.waits(1, 11.0), "the next one has its own time"


def test_calls_that_begin_together_share_what_is_enough_for_each() -> None:
    coalescing = Coalescing(256, CallCost(0.002, 0.0002))
    assert [coalescing.share(rows, 2) for rows in (1, 19, 20, 65, 900)] == [1, 19, 10, 33, 256]


@pytest.mark.parametrize(("fixed", "merges", "together"), [(1.0, True, True), (CHEAP, True, False)])
def test_requests_of_several_turns_share_a_dear_call(
    executor: ThreadPoolExecutor, fixed: float, merges: bool, together: bool
) -> None:
    model = Model()

    async def run() -> None:
        batcher = batcher_of(model, executor, fixed, 0.1, merges=merges)
        await asyncio.gather(*await come_one_by_one(batcher, 6))

    asyncio.run(run())
    assert (model.calls == [6]) is together
    assert sum(model.calls) == 6


def test_callers_who_come_back_at_once_share_a_call_with_those_who_waited(executor: ThreadPoolExecutor) -> None:
    """The answers go out first. Else the callers would form two groups for ever, each waiting for the other."""
    model = Model()

    async def run() -> None:
        batcher = batcher_of(model, executor, 1.0, 0.1)
        over = asyncio.Semaphore(0)

        def ask_again(left: int) -> None:
            if left:
                put(batcher, DecodedRequest({"x": np.zeros(1)}, 1, {}), lambda _: ask_again(left - 1))
            else:
                over.release()

        model.gate.clear()
        ask_again(3)
        await turns(5)
        ask_again(3)
        model.gate.set()
        await over.acquire()
        await over.acquire()

    asyncio.run(run())
    assert model.calls == [1, 2, 2, 1]


@pytest.mark.parametrize(
    ("fixed", "merges", "calls"),
    [(1.0, True, [1]), (CHEAP, True, [1, 2]), (1.0, False, [1, 1])],
    ids=["dear", "cheap", "rows that cannot share"],
)
def test_a_dear_call_begins_beside_another_only_with_enough_rows(
    executor: ThreadPoolExecutor, fixed: float, merges: bool, calls: list[int]
) -> None:
    model = Model()

    async def run() -> None:
        batcher = batcher_of(model, executor, fixed, fixed / 3, concurrency=2, merges=merges)
        model.gate.clear()
        tasks = ask(batcher, 1)
        await begun(model, [1])
        tasks += ask(batcher, 2)
        await begun(model, calls)
        tasks += ask(batcher, 1)
        if merges and fixed == 1.0:
            await begun(model, [1, 3])
        model.gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_calls_that_begin_together_share_what_waits(executor: ThreadPoolExecutor) -> None:
    model = Model()

    async def run() -> None:
        batcher = batcher_of(model, executor, 1.0, 0.1, concurrency=2)
        await asyncio.gather(*ask(batcher, 40))

    asyncio.run(run())
    assert model.calls == [20, 20]


def test_a_model_that_was_dear_while_it_was_cold_is_not_for_ever(executor: ThreadPoolExecutor) -> None:
    batcher = Batcher(Model(), executor, steady=True, tuning=ALL_SHORT)
    batcher.policy.cost.observe(1, 5.0)
    for _ in range(20):
        batcher.policy.inline.observe(1, 0.0)

    async def run() -> None:
        await asyncio.gather(*ask(batcher, 1))

    assert batcher.policy.coalesces
    asyncio.run(run())
    assert not batcher.policy.coalesces


@pytest.mark.parametrize(("waiting", "order"), [(1, ["call", "answer", "call"]), (2, ["call", "call", "answer"])])
def test_a_model_elsewhere_is_called_again_before_the_answers_are_written_where_enough_waits(
    waiting: int, order: list[str]
) -> None:
    async def run() -> list[str]:
        seen: list[str] = []
        answers: list[Callable[[Outcome], None]] = []

        def begin(inputs: Tensors, parameters: Parameters, done: Callable[[Outcome], None]) -> bool:
            seen.append("call")
            answers.append(lambda _: done(inputs))
            return True

        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(lambda inputs, _: inputs, executor, begin=begin)
            cost = Known(fixed=0.002, row=0.001)  # two rows are enough
            batcher.policy.cost = batcher.policy.coalescing.cost = cost
            put(batcher, DecodedRequest({"x": np.zeros(1)}, 1, {}), lambda _: seen.append("answer"))
            while not answers:  # noqa: ASYNC110  (nothing else tells)
                await asyncio.sleep(0)
            for _ in range(waiting):
                put(batcher, DecodedRequest({"x": np.zeros(1)}, 1, {}), lambda _: None)
            answers[0]({})
            while len(answers) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
        return seen

    assert asyncio.run(run()) == order
