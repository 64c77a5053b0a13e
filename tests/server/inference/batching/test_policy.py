"""When a call begins, with how many rows, where it runs, and what is learned from it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from server.codec.decoded_request import DecodedRequest
from server.inference.batching.executor import Call, Place
from server.inference.batching.merging import key_of
from server.inference.batching.policy import ExecutionPolicy, Traffic
from server.inference.batching.queue import BoundedQueue, Limits, QueuedRequest
from server.inference.batching.tuning import TUNING, Tuning

NOW = 1000.0
DEAR = 10 * TUNING.coalesce_seconds  #: seconds of a call's fixed part
Queue = BoundedQueue[QueuedRequest]


def policy_of(limits: Limits | None = None, **given: Any) -> ExecutionPolicy:
    return ExecutionPolicy(limits or Limits(), **{"traffic": Traffic(), **given})


def with_waiting(test: Callable[[Queue], None], *rows: int) -> None:
    """Try something on a queue of requests of so many rows."""

    async def run() -> None:
        queue: Queue = BoundedQueue("m", Limits(timeout=3600.0))
        for count in rows:
            decoded = DecodedRequest({"x": np.zeros((count, 1))}, count, {})
            request = QueuedRequest(decoded, lambda outcome: None)
            request.key = key_of(decoded)
            queue.put(request)
        test(queue)

    asyncio.run(run())


def called(policy: ExecutionPolicy, queue: Queue) -> Call:
    call = policy.next(queue, NOW)
    assert call is not None
    return call


def ended(policy: ExecutionPolicy, call: Call, seconds: float, waiting: int = 0) -> None:
    call.seconds = call.cpu = seconds
    policy.finished(call, waiting)


def test_one_call_at_a_time_takes_all_that_waits() -> None:
    def test(queue: Queue) -> None:
        policy = policy_of()
        call = called(policy, queue)
        assert ([len(each.inputs["x"]) for each in call.decoded], call.rows) == ([1, 2, 3], 6)
        assert call.place is Place.THREAD
        assert policy.running == 1
        queue.put(call.requests[0])
        assert policy.next(queue, NOW) is None
        ended(policy, call, 1.0)
        assert called(policy, queue).rows == 1

    with_waiting(test, 1, 2, 3)


def test_where_nobody_waits_any_more_there_is_no_call() -> None:
    def test(queue: Queue) -> None:
        policy = policy_of()
        queue[0].finished = True
        assert policy.next(queue, NOW) is None
        assert policy.running == 0

    with_waiting(test, 1)


def test_a_proved_call_is_inline_but_not_beside_another() -> None:
    def test(queue: Queue) -> None:
        policy = policy_of(Limits(max_rows=1, concurrency=2, fixed_concurrency=True), steady=True)
        for _ in range(TUNING.inline_proof_calls):
            policy.inline.observe(1, 0.0)
        first, second = called(policy, queue), called(policy, queue)
        assert (first.place, second.place) == (Place.INLINE, Place.THREAD)
        ended(policy, second, 0.0)
        ended(policy, first, 2 * TUNING.inline_seconds)
        assert called(policy, queue).place is Place.THREAD

    with_waiting(test, 1, 1, 1)


@pytest.mark.parametrize(("rows", "place"), [(2, Place.REMOTE), (3, Place.THREAD)])
def test_what_is_small_is_passed_to_another_process_by_the_event_loop(rows: int, place: Place) -> None:
    def test(queue: Queue) -> None:
        policy = policy_of(remote=True, tuning=Tuning(remote_bytes=2 * 8))
        assert called(policy, queue).place is place

    with_waiting(test, rows)


@pytest.mark.parametrize(
    ("rows", "given", "place", "parts"),
    [
        ((10,), {"cores": 3}, Place.SPLIT, 3),
        ((9,), {"cores": 3}, Place.THREAD, 1),
        ((10,), {"cores": 1}, Place.THREAD, 1),
        ((5, 5), {"cores": 3}, Place.THREAD, 1),
        ((10,), {"cores": 3, "merges": False}, Place.THREAD, 1),
    ],
    ids=["large", "small", "no idle core", "several requests", "rows that depend on each other"],
)
def test_a_large_call_is_split_over_idle_cores(
    rows: tuple[int, ...], given: dict[str, Any], place: Place, parts: int
) -> None:
    def test(queue: Queue) -> None:
        options = {**given, "cores": lambda: given["cores"]}
        call = called(policy_of(tuning=Tuning(split_rows=10), **options), queue)
        assert (call.place, call.parts) == (place, parts)

    with_waiting(test, *rows)


def test_only_a_dear_call_waits_for_more() -> None:
    policy = policy_of()
    assert not policy.waits_for_more(1, NOW)
    policy.cost.fixed = DEAR
    assert policy.waits_for_more(1, NOW)
    assert not policy.waits_for_more(1, NOW), "the last turn brought nothing"
    apart = policy_of(merges=False)
    apart.cost.fixed = DEAR
    assert not apart.waits_for_more(1, NOW), "its rows share no call"


@pytest.mark.parametrize(("remote", "enough"), [(False, 256), (True, 4)])
def test_with_enough_rows_what_waits_need_not_wait_for_answers(remote: bool, enough: int) -> None:
    policy = policy_of(remote=remote)
    assert not policy.begins_before_answers(0)
    assert policy.begins_before_answers(1)
    policy.cost.fixed, policy.cost.row = DEAR, DEAR / 4
    assert not policy.begins_before_answers(enough - 1)
    assert policy.begins_before_answers(enough)


def test_a_request_that_comes_singly_is_called_at_once_beside_other_models() -> None:
    def test(queue: Queue) -> None:
        traffic = Traffic()
        policy, other = policy_of(traffic=traffic), policy_of(traffic=traffic)
        other.arrived(0, NOW)
        policy.arrived(0, NOW)
        assert not policy.begins_at_once(1, NOW), "nothing is known yet"
        ended(policy, called(policy, queue), 0.0)
        assert policy.begins_at_once(1, NOW)
        assert not policy.begins_at_once(2, NOW), "they can share a call"
        assert not policy.begins_at_once(1, NOW + TUNING.alone_seconds), "no other model is asked"
        policy.began_at_once()
        assert not policy.begins_at_once(1, NOW), "one is enough in a turn"
        policy.turn_ended(queue)
        assert policy.begins_at_once(1, NOW)

    with_waiting(test, 1)


def test_a_call_that_did_not_run_teaches_nothing() -> None:
    def test(queue: Queue) -> None:
        policy = policy_of(steady=True)
        call = called(policy, queue)
        policy.finished(call, 0)
        assert (policy.running, policy.cost) == (0, policy_of().cost)

    with_waiting(test, 1)


def test_a_dear_first_call_is_forgotten_once_calls_are_inline() -> None:
    def test(queue: Queue) -> None:
        policy = policy_of(Limits(max_rows=1), steady=True)
        ended(policy, called(policy, queue), 1.0)
        assert policy.coalesces
        for _ in range(TUNING.inline_proof_calls):
            policy.inline.observe(1, 0.0)
        ended(policy, called(policy, queue), 0.0)
        assert not policy.coalesces

    with_waiting(test, 1, 1)


def test_a_body_is_decoded_at_once_unless_another_model_is_asked_only_a_little() -> None:
    async def run() -> None:
        loop, traffic, decoded = asyncio.get_running_loop(), Traffic(Tuning(decoded_bytes_a_turn=1)), []
        policy = policy_of(traffic=traffic)
        assert policy.decodes_at_once(loop.time())
        traffic.asked_little(0, math.inf)
        assert not policy.decodes_at_once(loop.time())
        for number in range(2):
            policy.decode_later(loop, 10, lambda number=number: decoded.append(number))  # type: ignore[misc]
        assert decoded == [0]
        while len(decoded) < 2:  # noqa: ASYNC110  (nothing else tells)
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(run(), 60))
