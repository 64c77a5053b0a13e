"""A turn comes, or its error is raised; who is cancelled leaves, and a turn that came too late is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from server.errors import NotReady, ServingError
from server.inference.batching.queue import BoundedQueue, Limits
from server.inference.batching.turn import Turn

#: seconds that nothing in these tests takes
LONG = 3600.0


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def turns_of(**limits: Any) -> BoundedQueue[Turn]:
    return BoundedQueue("m", Limits(**{"timeout": LONG, **limits}))


async def join(queue: BoundedQueue[Turn]) -> tuple[Turn, asyncio.Task[None]]:
    turn = Turn()
    task = asyncio.create_task(turn.wait_in(queue))
    await asyncio.sleep(0)
    return turn, task


@pytest.mark.parametrize("error", [None, NotReady("no")])
def test_a_turn_comes_or_its_error_is_raised(error: ServingError | None) -> None:
    async def test() -> None:
        queue = turns_of()
        turn, task = await join(queue)
        assert not turn.granted
        queue.popleft().resolve(error)
        assert turn.granted is (error is None)
        assert (await asyncio.gather(task, return_exceptions=True)) == [error]

    run(test)


def test_who_is_cancelled_leaves_the_queue() -> None:
    async def test() -> None:
        queue = turns_of()
        turn, task = await join(queue)
        task.cancel()
        await asyncio.wait([task])
        assert not queue
        assert not turn.granted

    run(test)


@pytest.mark.parametrize("cancelled_first", [True, False])
def test_a_turn_counts_as_granted_where_it_came_before_the_cancel(cancelled_first: bool) -> None:
    """Whoever gives turns must get it back exactly where it was taken."""

    async def test() -> None:
        queue = turns_of()
        turn, task = await join(queue)
        if cancelled_first:
            task.cancel()
        queue.popleft().resolve(None)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert turn.granted is not cancelled_first

    run(test)
