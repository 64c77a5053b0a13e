"""Who waits is bounded in number and in time, may hang up or be let go, and is answered once."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from server.config.settings import Settings
from server.errors import ClientGone, DeadlineExceeded, NotReady, QueueFull
from server.inference.batching.queue import BoundedQueue, Limits, Waiter, limits_of
from server.inference.batching.tuning import TUNING
from tests.patience import becomes

#: seconds that nothing in these tests takes
LONG = 3600.0


class Outcomes:
    """Waiters by name, and what each was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def waiter(self, name: str, is_disconnected: Callable[[], bool] = lambda: False, **deadline: float) -> Waiter[Any]:
        return Waiter(lambda outcome: self.told.append((name, outcome)), is_disconnected, **deadline)

    @property
    def kinds(self) -> list[tuple[str, type]]:
        return [(name, type(outcome)) for name, outcome in self.told]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def queue_of(**limits: Any) -> BoundedQueue[Waiter[Any]]:
    return BoundedQueue("m", Limits(**{"timeout": LONG, **limits}))


def test_the_first_to_come_is_the_first_to_go() -> None:
    async def test() -> None:
        queue, outcomes = queue_of(), Outcomes()
        waiters = [outcomes.waiter(name) for name in "abc"]
        for waiter in waiters:
            queue.put(waiter)
        assert [queue.pop_wanted(queue.loop.time()) for _ in range(4)] == [*waiters, None]
        assert [waiter.deadline - waiter.enqueued_at for waiter in waiters] == [pytest.approx(LONG)] * 3

    run(test)


def test_an_outcome_is_told_once() -> None:
    outcomes = Outcomes()
    waiter = outcomes.waiter("a")
    waiter.resolve(1)
    waiter.resolve(2)
    assert outcomes.told == [("a", 1)]


def test_an_outcome_that_nobody_can_take_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("kserve").propagate = True
    waiter: Waiter[Any] = Waiter(lambda outcome: 1 / 0)
    waiter.resolve(None)
    assert waiter.finished
    assert "an answer could not be handed over" in caplog.text


def test_a_full_queue_refuses_with_the_number_the_limit_and_the_way_out() -> None:
    async def test() -> None:
        queue, outcomes = queue_of(max_queue=2), Outcomes()
        queue.put(outcomes.waiter("a"))
        queue.put(outcomes.waiter("b"))
        with pytest.raises(QueueFull) as caught:
            queue.put(outcomes.waiter("c"))
        assert str(caught.value) == "m has 2 requests waiting (limit max_queue): try again later"
        assert caught.value.retry_after == 1
        assert (len(queue), outcomes.told) == (2, [])

    run(test)


def test_clients_that_hung_up_leave_their_places_in_a_full_queue() -> None:
    async def test() -> None:
        queue, outcomes = queue_of(max_queue=2), Outcomes()
        queue.put(outcomes.waiter("a"))
        queue.put(outcomes.waiter("b", lambda: True))
        queue.put(outcomes.waiter("c"))
        assert outcomes.kinds == [("b", ClientGone)]
        assert len(queue) == 2

    run(test)


def test_whose_outcome_nobody_wants_is_passed_over() -> None:
    async def test() -> None:
        queue, outcomes = queue_of(), Outcomes()
        late, hung_up, dropped, last = (outcomes.waiter(name) for name in ("late", "hung up", "dropped", "last"))
        hung_up.is_disconnected = lambda: True
        for waiter in (late, hung_up, dropped, last):
            queue.put(waiter)
        late.deadline = 0.0
        dropped.finished = True
        assert queue.pop_wanted(queue.loop.time()) is last
        assert outcomes.kinds == [("late", DeadlineExceeded), ("hung up", ClientGone)]
        assert str(outcomes.told[0][1]) == f"the request waited {LONG:g} s for m (limit request_timeout)"

    run(test)


def test_a_deadline_passes_by_itself() -> None:
    async def test() -> None:
        queue, outcomes = queue_of(timeout=0.01), Outcomes()
        queue.put(outcomes.waiter("a"))
        queue.put(outcomes.waiter("b"))
        await becomes(lambda: len(outcomes.told) == 2)
        assert outcomes.kinds == [("a", DeadlineExceeded), ("b", DeadlineExceeded)]
        queue.put(outcomes.waiter("c"))  # the timer is set anew
        await becomes(lambda: len(outcomes.told) == 3)

    run(test)


def test_an_earlier_deadline_of_its_own_is_kept_and_comes_first() -> None:
    async def test() -> None:
        queue, outcomes = queue_of(), Outcomes()
        now = asyncio.get_running_loop().time()
        queue.put(outcomes.waiter("a"))
        queue.put(outcomes.waiter("b", deadline=now + LONG / 2))
        queue.put(outcomes.waiter("c", deadline=now))
        queue.put(outcomes.waiter("d", deadline=now + 2 * LONG))  # no longer than the others
        await becomes(lambda: outcomes.told)
        assert outcomes.kinds == [("c", DeadlineExceeded)]
        while queue:
            queue.popleft().resolve("turn")
        assert [name for name, _ in outcomes.told] == ["c", "b", "a", "d"]

    run(test)


def test_the_timer_of_one_who_has_gone_does_not_delay_an_earlier_deadline() -> None:
    async def test() -> None:
        queue, outcomes = queue_of(), Outcomes()
        queue.put(outcomes.waiter("a"))
        queue.popleft()
        queue.put(outcomes.waiter("b", deadline=queue.loop.time()))
        await becomes(lambda: outcomes.told)

    run(test)


def test_who_is_discarded_is_told_nothing() -> None:
    async def test() -> None:
        queue, outcomes = queue_of(), Outcomes()
        waiter, popped = outcomes.waiter("a"), outcomes.waiter("b")
        queue.put(popped)
        queue.popleft()
        queue.put(waiter)
        for each in (waiter, popped):
            queue.discard(each)
            each.resolve(1)
        assert (len(queue), outcomes.told) == (0, [])

    run(test)


@pytest.mark.parametrize("from_a_thread", [True, False])
def test_closing_answers_who_waits_and_who_comes(from_a_thread: bool) -> None:
    async def test() -> None:
        queue, outcomes, closed = queue_of(), Outcomes(), asyncio.Event()
        queue.put(outcomes.waiter("a"))
        if from_a_thread:
            await asyncio.to_thread(queue.close, NotReady("unloaded"), closed.set)
        else:
            queue.close(NotReady("unloaded"), closed.set)
        await closed.wait()
        assert [(name, str(error)) for name, error in outcomes.told] == [("a", "unloaded")]
        with pytest.raises(NotReady, match="unloaded"):
            queue.put(outcomes.waiter("b"))
        with pytest.raises(NotReady, match="unloaded"):
            queue.check_open()

    run(test)


def test_closing_where_nobody_ever_came_is_done_at_once() -> None:
    queue, closed = queue_of(), []
    queue.close(NotReady("unloaded"), lambda: closed.append(True))
    assert closed
    assert not queue.has_loop


def test_a_closed_queue_is_let_go() -> None:
    """No timer of a deadline long ahead keeps it in memory."""

    async def test() -> None:
        queue, closed = queue_of(), asyncio.Event()
        queue.put(Outcomes().waiter("a"))
        queue.close(NotReady("unloaded"), closed.set)
        await closed.wait()
        known = weakref.ref(queue)
        del queue
        gc.collect()
        assert known() is None

    run(test)


def test_an_event_loop_that_ended_leaves_no_deadline_behind() -> None:
    queue, outcomes = queue_of(timeout=0.01), Outcomes()

    async def first() -> None:
        queue.put(outcomes.waiter("a"))
        queue.popleft()

    async def second() -> None:
        queue.put(outcomes.waiter("b"))
        await becomes(lambda: outcomes.told)

    run(first)
    assert not queue.has_loop
    run(second)
    assert outcomes.kinds == [("b", DeadlineExceeded)]


def test_the_limits_are_the_settings_and_no_more_calls_than_cores() -> None:
    given = Settings(max_batch_rows=7, max_queue=8, request_timeout=9.0)
    assert limits_of(given, 2) == Limits(7, 8, 9.0, 2)
    assert limits_of(given, 100).concurrency == TUNING.max_concurrency
