"""Greedy batching: everybody gets the answer to their own rows, whatever happens to the others."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import InvalidInput as ModelRefusal
from adapters.base import Parameters, Tensors
from server.codec.decoded_request import DecodedRequest
from server.errors import ClientGone, DeadlineExceeded, InvalidInput, ModelFailed, NotReady, QueueFull
from server.inference.batching.batcher import Batcher
from server.inference.batching.queue import Limits
from tests.asking import ALL_SHORT, put, submit

T = TypeVar("T")

POISON = -1.0
PATIENCE = 60.0  #: seconds until a test gives up waiting


class Model:
    """Answers `x * parameters["k"]` and the row as text; remembers its calls; waits at its gate when that is shut."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.calls: list[int] = []
        self.fail: Callable[[], BaseException] = lambda: ValueError("poison")

    def __call__(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        rows = next(iter(inputs.values()))
        self.calls.append(len(rows))
        self.entered.release()
        assert self.gate.wait(PATIENCE)
        if rows.dtype.kind == "f" and (rows == POISON).any():
            raise self.fail()
        return answers(inputs, parameters)


def answers(inputs: Tensors, parameters: Parameters) -> Tensors:
    rows = next(iter(inputs.values()))
    texts = np.array([str(row.tolist()) for row in rows], dtype=np.object_)
    return {"y": rows * parameters.get("k", 2), "text": texts}


def call(*values: float, dtype: Any = np.float64, name: str = "x", **parameters: Any) -> DecodedRequest:
    rows = np.array(values, dtype=dtype)
    return DecodedRequest({name: rows}, len(rows), parameters)


def right(got: Tensors, asked: DecodedRequest) -> bool:
    want = answers(asked.inputs, asked.parameters)
    return got.keys() == want.keys() and all(np.array_equal(got[name], want[name]) for name in want)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


async def entered(model: Model, calls: int = 1) -> None:
    """Wait until so many more calls have begun."""
    for _ in range(calls):
        assert await asyncio.to_thread(model.entered.acquire, timeout=PATIENCE)


async def busy(batcher: Batcher, model: Model) -> asyncio.Task[Tensors]:
    """A first request that keeps the model busy until its gate is opened."""
    model.gate.clear()
    first = asyncio.create_task(submit(batcher, call(100.0)))
    await entered(model)
    return first


async def waiting(batcher: Batcher, *calls: DecodedRequest) -> list[asyncio.Task[Tensors]]:
    tasks = [asyncio.create_task(submit(batcher, each)) for each in calls]
    await asyncio.sleep(0)
    return tasks


async def answered(tasks: list[asyncio.Task[Tensors]], asked: list[DecodedRequest]) -> bool:
    """Whether each got its own answer."""
    return all([right(await task, each) for task, each in zip(tasks, asked, strict=True)])


@pytest.fixture(scope="module")
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.gate.set()


@pytest.fixture
def batcher(model: Model, executor: ThreadPoolExecutor) -> Batcher:
    return Batcher(model, executor)


# merging


def test_an_idle_model_starts_at_once(batcher: Batcher, model: Model) -> None:
    async def ask() -> None:
        model.gate.clear()
        (task,) = await waiting(batcher, call(1.0))
        await asyncio.sleep(0)  # the loop's next turn: no timer, no other request
        assert batcher.waiting == 0
        assert not batcher.idle
        model.gate.set()
        assert right(await task, call(1.0))
        assert batcher.idle

    run(ask())


def test_a_busy_model_answers_all_that_wait_with_one_call(batcher: Batcher, model: Model) -> None:
    asked = [call(1.0), call(2.0, 3.0), call(4.0, 5.0, 6.0)]

    async def ask() -> None:
        first = await busy(batcher, model)
        tasks = await waiting(batcher, *asked)
        assert batcher.waiting == 3
        model.gate.set()
        assert await answered(tasks, asked)
        assert right(await first, call(100.0))

    run(ask())
    assert model.calls == [1, 6]


UNLIKE = [
    [call(1.0), call(1.0, name="z")],
    [call(1.0), call(1.0, dtype=np.float32)],
    [call(1.0), call([1.0, 2.0])],  # type: ignore[arg-type]
    [call(1.0), call(1.0, k=3)],
    [call(1.0, k=1), call(1.0, k=True)],
    [call(1.0, k=3), call(1.0, k=3.0)],
    [call(1.0, k=0.0), call(1.0, k=-0.0)],
    [call(1.0), DecodedRequest({**call(1.0).inputs, **call(1.0, name="more").inputs}, 1, {})],
]


@pytest.mark.parametrize("asked", UNLIKE, ids=lambda asked: str(asked[1])[5:60])
def test_only_what_agrees_is_merged(batcher: Batcher, model: Model, asked: list[DecodedRequest]) -> None:
    async def ask() -> None:
        await busy(batcher, model)
        tasks = await waiting(batcher, *asked)
        model.gate.set()
        assert await answered(tasks, asked)

    run(ask())
    assert model.calls == [1, 1, 1]


def test_the_order_of_parameters_does_not_keep_requests_apart(batcher: Batcher, model: Model) -> None:
    async def ask() -> None:
        await busy(batcher, model)
        tasks = await waiting(batcher, call(1.0, k=2, t="é"), call(2.0, t="é", k=2))
        model.gate.set()
        await asyncio.gather(*tasks)

    run(ask())
    assert model.calls == [1, 2]


REQUESTS = st.lists(
    st.tuples(
        st.lists(st.sampled_from([0.0, 1.0, 2.5, POISON]), min_size=1, max_size=5),
        st.sampled_from([{}, {"k": 3}, {"k": -1.5}]),
        st.sampled_from([np.float64, np.float32]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(REQUESTS, st.integers(1, 12), st.integers(1, 3), st.booleans())
def test_every_caller_gets_the_answer_to_their_own_rows(
    executor: ThreadPoolExecutor, requests: list[Any], max_rows: int, concurrency: int, merges: bool
) -> None:
    """Any rows, parameters and timing; poisoned requests fail alone."""
    model = Model()
    batcher = Batcher(model, executor, Limits(max_rows=max_rows, concurrency=concurrency), merges)
    batcher.policy.concurrency.now = concurrency
    asked = [call(*values, dtype=dtype, **parameters) for values, parameters, dtype, _ in requests]

    async def one(each: DecodedRequest, pauses: int) -> bool:
        for _ in range(pauses):
            await asyncio.sleep(0.0001)
        try:
            return right(await submit(batcher, each), each) and POISON not in each.inputs["x"]
        except ModelFailed as error:
            return str(error) == "ValueError: poison" and POISON in each.inputs["x"]

    async def ask() -> list[bool]:
        return await asyncio.gather(*(one(each, item[3]) for each, item in zip(asked, requests, strict=True)))

    assert all(run(ask()))
    assert batcher.idle
    assert max(model.calls) <= max(max_rows, *(each.rows for each in asked))
    assert merges or sorted(model.calls) == sorted(each.rows for each in asked)


def test_max_rows_bounds_a_call_but_no_request(model: Model, executor: ThreadPoolExecutor) -> None:
    batcher = Batcher(model, executor, Limits(max_rows=4))

    async def ask() -> None:
        first = await busy(batcher, model)
        tasks = await waiting(batcher, *[call(*[1.0] * rows) for rows in (3, 2, 1, 9, 1)])
        model.gate.set()
        await asyncio.gather(first, *tasks)

    run(ask())
    assert model.calls == [1, 4, 3, 9]


def test_nothing_is_merged_where_rows_depend_on_each_other(model: Model, executor: ThreadPoolExecutor) -> None:
    batcher = Batcher(model, executor, merges=False)

    async def ask() -> None:
        first = await busy(batcher, model)
        tasks = await waiting(batcher, call(1.0), call(1.0), call(1.0))
        model.gate.set()
        await asyncio.gather(first, *tasks)

    run(ask())
    assert model.calls == [1, 1, 1, 1]


def test_whole_tensors_need_not_have_as_many_rows_as_their_answer(executor: ThreadPoolExecutor) -> None:
    batcher = Batcher(lambda inputs, _: {"y": np.float64(3)}, executor, merges=False, batched=False)  # type: ignore[dict-item]
    assert run(submit(batcher, call(1.0, 2.0)))["y"] == 3


def test_a_request_unlike_the_others_is_not_starved(model: Model, executor: ThreadPoolExecutor) -> None:
    """Among an endless stream of requests that could always fill the next call."""
    batcher = Batcher(model, executor, Limits(max_rows=2))

    async def ask() -> int:
        model.gate.set()
        done = False

        async def stream() -> None:
            while not done:
                await submit(batcher, call(1.0))

        streams = [asyncio.create_task(stream()) for _ in range(8)]
        await asyncio.sleep(0.02)
        before = len(model.calls)
        await submit(batcher, call(1.0, k=7))
        calls = len(model.calls) - before
        done = True
        await asyncio.gather(*streams)
        return calls

    assert run(ask()) <= 8  # those that were there before, two a call, the one that ran, and a few of the next


def test_calls_are_told_with_their_rows_and_waits(model: Model, executor: ThreadPoolExecutor) -> None:
    told: list[tuple[int, list[float]]] = []
    batcher = Batcher(model, executor, on_call=lambda rows, waits: told.append((rows, waits)))

    async def ask() -> None:
        first = await busy(batcher, model)
        tasks = await waiting(batcher, call(1.0), call(2.0, 3.0))
        await asyncio.sleep(0.02)
        model.gate.set()
        await asyncio.gather(first, *tasks)

    run(ask())
    (first, _), (merged, waits) = told
    assert (first, merged) == (1, 3)
    assert len(waits) == 2
    assert min(waits) >= 0.015


# failures


def test_a_poisoned_request_fails_alone(model: Model, executor: ThreadPoolExecutor) -> None:
    batcher = Batcher(model, executor)
    asked = [call(1.0), call(2.0, POISON), call(3.0)]

    async def ask() -> list[Any]:
        await busy(batcher, model)
        tasks = await waiting(batcher, *asked)
        model.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    good, bad, too = run(ask())
    assert right(good, asked[0])
    assert right(too, asked[2])
    assert type(bad) is ModelFailed
    assert str(bad) == "ValueError: poison"
    assert str(bad.__cause__) == "poison"  # with its traceback, for the log
    assert model.calls == [1, 4, 1, 2, 1]


def test_a_models_refusal_is_the_fault_of_one_caller(model: Model, executor: ThreadPoolExecutor) -> None:
    batcher = Batcher(model, executor)
    model.fail = lambda: ModelRefusal("x[0] is unknown")

    async def ask() -> list[Any]:
        await busy(batcher, model)
        tasks = await waiting(batcher, call(POISON), call(3.0))
        model.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    bad, good = run(ask())
    assert type(bad) is InvalidInput
    assert str(bad) == "x[0] is unknown"
    assert right(good, call(3.0))


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        MemoryError("full"),
        StopIteration(),
        asyncio.CancelledError(),
        GeneratorExit(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("alone", [True, False])
def test_no_exception_leaves_a_caller_waiting(
    batcher: Batcher, model: Model, error: BaseException, alone: bool
) -> None:
    model.fail = lambda: error

    async def ask() -> None:
        if not alone:
            await busy(batcher, model)
        tasks = await waiting(batcher, call(POISON), *([] if alone else [call(3.0)]))
        model.gate.set()
        with pytest.raises(ModelFailed, match=type(error).__name__):
            await tasks[0]
        for task in tasks[1:]:
            assert right(await task, call(3.0))
        assert right(await submit(batcher, call(5.0)), call(5.0))

    run(ask())


WRONG: list[tuple[Any, str]] = [
    ({"y": np.ones(3)}, "the model answered 3 rows in 'y' for 2 rows of input"),
    ({"y": np.ones((1, 2))}, "the model answered 1 rows in 'y' for 2 rows of input"),
    ({"good": np.ones(2), "y": np.float64(1)}, "the model answered no rows in 'y' for 2 rows of input"),
    ({"y": [1, 2]}, "AttributeError"),
    ([1, 2], "AttributeError"),
    (None, "AttributeError"),
]


@pytest.mark.parametrize(("outputs", "says"), WRONG, ids=lambda item: str(item)[:20])
def test_a_wrong_answer_is_told_from_a_good_one(executor: ThreadPoolExecutor, outputs: Any, says: str) -> None:
    batcher = Batcher(lambda *_: outputs, executor)
    with pytest.raises(ModelFailed, match=says):
        run(submit(batcher, call(1.0, 2.0)))


def test_a_model_that_answers_only_one_row_is_asked_row_by_row(executor: ThreadPoolExecutor) -> None:
    model = Model()
    batcher = Batcher(lambda *arguments: {"y": model(*arguments)["y"][:1]}, executor)

    async def ask() -> list[Tensors]:
        await busy(batcher, model)
        tasks = await waiting(batcher, call(1.0), call(2.0))
        model.gate.set()
        return await asyncio.gather(*tasks)

    assert [outputs["y"].tolist() for outputs in run(ask())] == [[2.0], [4.0]]


def test_a_merge_that_fails_is_no_callers_loss(batcher: Batcher, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory for the merged rows: each request is still run alone."""

    def no_memory(*_: Any) -> Any:
        raise MemoryError

    async def ask() -> None:
        first = await busy(batcher, model)
        tasks = await waiting(batcher, call(1.0), call(2.0))
        monkeypatch.setattr("server.inference.batching.merging.np.concatenate", no_memory)
        model.gate.set()
        assert right(await first, call(100.0))
        assert await answered(tasks, [call(1.0), call(2.0)])

    run(ask())
    assert model.calls == [1, 1, 1]


def test_a_call_that_cannot_be_counted_is_answered(model: Model, executor: ThreadPoolExecutor) -> None:
    def observer(*_: object) -> None:
        raise OSError("the metrics are full")

    batcher = Batcher(model, executor, on_call=observer)
    assert right(run(submit(batcher, call(1.0))), call(1.0))


# callers that go, limits


def test_a_caller_cancelled_while_waiting_is_forgotten(batcher: Batcher, model: Model) -> None:
    async def ask() -> None:
        first = await busy(batcher, model)
        gone, stays = await waiting(batcher, call(1.0), call(2.0, 3.0))
        gone.cancel()
        await asyncio.sleep(0)
        assert batcher.waiting == 1
        model.gate.set()
        assert right(await stays, call(2.0, 3.0))
        assert right(await first, call(100.0))
        assert gone.cancelled()

    run(ask())
    assert model.calls == [1, 2]


def test_a_caller_cancelled_while_it_runs_disturbs_nobody(batcher: Batcher, model: Model) -> None:
    async def ask() -> None:
        await busy(batcher, model)
        gone, stays = await waiting(batcher, call(1.0), call(2.0))
        model.gate.set()
        await entered(model)
        gone.cancel()
        assert right(await stays, call(2.0))
        assert right(await submit(batcher, call(4.0)), call(4.0))

    run(ask())


def test_a_client_that_hung_up_is_not_predicted(batcher: Batcher, model: Model) -> None:
    async def ask() -> None:
        await busy(batcher, model)
        gone = asyncio.create_task(submit(batcher, call(1.0), lambda: True))
        (stays,) = await waiting(batcher, call(2.0))
        model.gate.set()
        with pytest.raises(ClientGone):
            await gone
        assert right(await stays, call(2.0))

    run(ask())
    assert model.calls == [1, 1]


@pytest.mark.slow
def test_a_deadline_passes_though_the_model_is_stuck(model: Model, executor: ThreadPoolExecutor) -> None:
    batcher = Batcher(model, executor, Limits(timeout=3.0), name="m")

    async def ask() -> None:
        first = await busy(batcher, model)
        start = time.monotonic()
        tasks = await waiting(batcher, call(1.0), call(2.0))
        for task in tasks:
            with pytest.raises(DeadlineExceeded, match=r"waited 3 s for m \(limit request_timeout\)"):
                await task
        assert time.monotonic() - start >= 2.5  # they waited for their deadline
        assert batcher.waiting == 0
        assert not first.done()
        late = asyncio.create_task(submit(batcher, call(3.0)))
        with pytest.raises(DeadlineExceeded):
            await late
        model.gate.set()
        assert right(await first, call(100.0))
        assert right(await submit(batcher, call(4.0)), call(4.0))

    run(ask())
    assert model.calls == [1, 1]


def test_a_full_queue_refuses_at_once(model: Model, executor: ThreadPoolExecutor) -> None:
    batcher = Batcher(model, executor, Limits(max_queue=2), name="m")

    async def ask() -> None:
        first = await busy(batcher, model)
        tasks = await waiting(batcher, call(1.0), call(2.0))
        with pytest.raises(QueueFull, match=r"m has 2 requests waiting \(limit max_queue\)") as error:
            await submit(batcher, call(3.0))
        assert error.value.retry_after == 1
        model.gate.set()
        await asyncio.gather(first, *tasks)
        assert right(await submit(batcher, call(3.0)), call(3.0))

    run(ask())


def test_callers_that_are_gone_leave_their_place_in_a_full_queue(model: Model, executor: ThreadPoolExecutor) -> None:
    batcher = Batcher(model, executor, Limits(max_queue=2))

    async def ask() -> None:
        first = await busy(batcher, model)
        cancelled, _ = await waiting(batcher, call(1.0), call(2.0))
        cancelled.cancel()
        await asyncio.sleep(0)
        hung_up = asyncio.create_task(submit(batcher, call(3.0), lambda: True))
        await asyncio.sleep(0)
        assert batcher.waiting == 2
        (last,) = await waiting(batcher, call(4.0))
        model.gate.set()
        assert right(await last, call(4.0))
        with pytest.raises(ClientGone):
            await hung_up
        await first

    run(ask())


# the end


class Ending:
    """Counts calls of `when_idle`, and remembers whether the model was still busy at the first."""

    def __init__(self, model: Model) -> None:
        self.times = 0
        self.calls_before = -1
        self._model = model

    def __call__(self) -> None:
        self.times += 1
        self.calls_before = len(self._model.calls)


@pytest.mark.parametrize("from_a_thread", [True, False])
def test_closing_answers_who_waits_and_lets_finish_what_runs(
    batcher: Batcher, model: Model, from_a_thread: bool
) -> None:
    ending = Ending(model)
    error = NotReady("unloaded")

    async def ask() -> None:
        first = await busy(batcher, model)
        tasks = await waiting(batcher, call(1.0), call(2.0))
        if from_a_thread:
            await asyncio.to_thread(batcher.close, error, ending)
        else:
            batcher.close(error, ending)
        for task in tasks:
            with pytest.raises(NotReady, match="unloaded"):
                await task
        with pytest.raises(NotReady, match="unloaded"):
            await submit(batcher, call(3.0))
        assert ending.times == 0
        model.gate.set()
        assert right(await first, call(100.0))
        await asyncio.sleep(0.01)
        assert ending.times == 1
        assert batcher.idle

    run(ask())
    assert model.calls == [1]


def test_closing_an_idle_batcher_is_done_at_once(batcher: Batcher, model: Model) -> None:
    ending = Ending(model)

    async def ask() -> None:
        await submit(batcher, call(1.0))
        batcher.close(NotReady("unloaded"), ending)
        await asyncio.sleep(0.01)
        assert ending.times == 1

    run(ask())


def test_closing_before_the_first_request(batcher: Batcher, model: Model) -> None:
    ending = Ending(model)
    batcher.close(NotReady("unloaded"), ending)
    assert ending.times == 1
    with pytest.raises(NotReady):
        run(submit(batcher, call(1.0)))
    assert not model.calls


def test_a_closed_batcher_lets_go_of_its_model(executor: ThreadPoolExecutor) -> None:
    """No timer of a deadline long ahead keeps it in memory."""

    async def ask() -> weakref.ref[Model]:
        model = Model()
        batcher = Batcher(model, executor)
        first = await busy(batcher, model)
        tasks = await waiting(batcher, call(1.0))
        batcher.close(NotReady("unloaded"), lambda: None)
        with pytest.raises(NotReady):
            await tasks[0]
        model.gate.set()
        await first
        return weakref.ref(model)

    async def look() -> None:
        model = await ask()
        gc.collect()
        while model() is not None:  # the thread that ran the call may be about to let go of it
            await asyncio.sleep(0.01)
            gc.collect()

    run(look())


def test_a_server_that_stops_answers_all_that_wait(model: Model) -> None:
    executor = ThreadPoolExecutor(1)
    batcher = Batcher(model, executor, Limits(max_queue=5000), merges=False)

    async def ask() -> None:
        first = await busy(batcher, model)
        tasks = await waiting(batcher, *[call(1.0)] * 2000)
        executor.shutdown(wait=False)
        model.gate.set()
        assert right(await first, call(100.0))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {NotReady}
        assert batcher.idle

    run(ask())


def test_calls_run_at_the_same_time(executor: ThreadPoolExecutor) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    def predict(inputs: Tensors, parameters: Parameters) -> Tensors:
        both.wait()
        return answers(inputs, parameters)

    batcher = Batcher(predict, executor, Limits(concurrency=2))
    batcher.policy.concurrency.now = 2

    async def ask() -> bool:
        tasks = await waiting(batcher, call(1.0))
        await asyncio.sleep(0)
        tasks += await waiting(batcher, call(2.0))
        return await answered(tasks, [call(1.0), call(2.0)])

    assert run(ask())


def test_a_caller_cancelled_in_the_turn_of_its_answer_disturbs_nobody(executor: ThreadPoolExecutor) -> None:
    """The future of a cancelled task is over a turn before the task itself is told."""
    batcher = Batcher(answers, executor, steady=True, tuning=ALL_SHORT)
    for _ in range(20):
        batcher.policy.inline.observe(1, 0.0)

    async def ask() -> None:
        gone = asyncio.create_task(submit(batcher, call(1.0)))
        stays = asyncio.create_task(submit(batcher, call(2.0)))
        await asyncio.sleep(0)  # both are queued, and looked at in the next turn
        gone.cancel()
        assert right(await stays, call(2.0))
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert right(await submit(batcher, call(3.0)), call(3.0))
        assert batcher.idle

    run(ask())


def test_an_answer_that_nobody_can_take_disturbs_nobody(executor: ThreadPoolExecutor) -> None:
    batcher = Batcher(answers, executor)

    def refuse(_: Any) -> None:
        raise OSError("gone")

    async def ask() -> None:
        put(batcher, call(1.0), refuse)
        assert right(await submit(batcher, call(2.0)), call(2.0))
        assert right(await submit(batcher, call(3.0)), call(3.0))

    run(ask())
