"""The event loop does not sleep for a while after an answer, and no longer; the clock is the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from server.runtime.busy_poll import BusyPoll


class _Loop:
    """What is to be done in the next turn."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[..., None], *args: Any) -> None:
        self.soon.append(lambda: call(*args))

    def turn(self) -> None:
        due, self.soon = self.soon, []
        for call in due:
            call()


def test_the_loop_has_something_to_do_until_the_time_is_over() -> None:
    now = [10.0]
    loop: Any = _Loop()
    poll = BusyPoll(0.5, lambda: now[0])
    assert loop.soon == []
    poll.answered(loop)
    for _ in range(100):
        assert len(loop.soon) == 1  # or it would sleep
        loop.turn()
    now[0] = 10.5
    loop.turn()
    assert loop.soon == []


def test_each_answer_begins_it_anew_and_once() -> None:
    now = [10.0]
    loop: Any = _Loop()
    poll = BusyPoll(0.5, lambda: now[0])
    poll.answered(loop)
    now[0] = 10.4
    poll.answered(loop)
    poll.answered(loop)
    assert len(loop.soon) == 1
    loop.turn()
    now[0] = 10.8  # past the first answer's time
    loop.turn()
    assert len(loop.soon) == 1
    now[0] = 10.9
    loop.turn()
    assert loop.soon == []
    poll.answered(loop)
    assert len(loop.soon) == 1


def test_without_it_nothing_is_done() -> None:
    loop: Any = _Loop()
    BusyPoll().answered(loop)
    assert loop.soon == []
