"""Calls that do not run on the event loop: in a thread, in another process, and where neither can be had."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from adapters.base import Parameters, Tensors
from server.codec.request import DecodedRequest
from server.errors import ModelFailed, NotReady
from server.inference.batching.executor import Begin, Call, CallExecutor, Place
from server.inference.batching.merging import BatchCaller, Outcome
from server.inference.batching.queue import QueuedRequest

#: outcomes of a call, the call itself, and the names of the threads that the model was called on
Seen = tuple[Sequence[Any], Call, list[str]]


def call_of(place: Place, *numbers: float) -> Call:
    requests = [
        QueuedRequest(DecodedRequest({"x": np.array([number])}, 1, {}), lambda outcome: None) for number in numbers
    ]
    return Call(requests, [request.decoded for request in requests], len(numbers), place)


def started(call: Call, begin: Begin | None = None, shut_down: bool = False) -> Seen:
    threads: list[str] = []

    def predict(inputs: Tensors, parameters: Parameters) -> Tensors:
        threads.append(threading.current_thread().name)
        return {"y": inputs["x"] * 2}

    async def run() -> Seen:
        ended: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        with ThreadPoolExecutor(2, "pool") as pool:
            executor = CallExecutor(BatchCaller(predict), pool, begin, lambda _, outcomes: ended.set_result(outcomes))
            if shut_down:
                pool.shutdown()
            executor.start(asyncio.get_running_loop(), call)
            return await ended, call, threads

    return asyncio.run(asyncio.wait_for(run(), 60))


def values(outcomes: Sequence[Any]) -> list[float]:
    return [outcome["y"].item() for outcome in outcomes]


def test_a_thread_answers_all_with_one_call_and_its_time_is_taken() -> None:
    outcomes, call, threads = started(call_of(Place.THREAD, 1.0, 2.0))
    assert values(outcomes) == [2.0, 4.0]
    assert len(threads) == 1
    assert threads[0].startswith("pool")
    assert call.seconds is not None
    assert math.isfinite(call.cpu)


@pytest.mark.parametrize("place", [Place.THREAD, Place.SPLIT])
def test_a_server_that_stops_says_so_and_nothing_is_learned(place: Place) -> None:
    outcomes, call, _ = started(call_of(place, 1.0), shut_down=True)
    assert [str(outcome) for outcome in outcomes] == ["the server is stopping"]
    assert type(outcomes[0]) is NotReady
    assert call.seconds is None


def test_another_process_answers_without_a_thread() -> None:
    def begin(inputs: Tensors, parameters: Parameters, done: Callable[[Outcome], None]) -> bool:
        asyncio.get_running_loop().call_soon(done, {"y": inputs["x"] * 3})
        return True

    outcomes, call, threads = started(call_of(Place.REMOTE, 1.0, 2.0), begin)
    assert (values(outcomes), threads) == ([3.0, 6.0], [])
    assert call.cpu == math.inf


def test_where_another_process_cannot_begin_now_a_thread_waits_for_it() -> None:
    outcomes, _, threads = started(call_of(Place.REMOTE, 1.0), lambda *_: False)
    assert (values(outcomes), len(threads)) == ([2.0], 1)


def test_what_failed_in_another_process_is_tried_one_by_one_in_a_thread() -> None:
    def begin(inputs: Tensors, parameters: Parameters, done: Callable[[Outcome], None]) -> bool:
        asyncio.get_running_loop().call_soon(done, ModelFailed("no"))
        return True

    outcomes, _, threads = started(call_of(Place.REMOTE, 1.0, 2.0), begin)
    assert (values(outcomes), len(threads)) == ([2.0, 4.0], 2)
