"""Who keeps the server waiting for too long is closed, and makes room for others; who waits for the server stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from server.api.connections import Connections, Wait
from server.api.rest.limits import HttpLimits
from tests.patience import becomes

LIMITS = HttpLimits(max_connections=32)


class Client:
    """A connection that waits as it is told."""

    def __init__(self, wait: Wait | None, age: float) -> None:
        self.wait, self.age = wait, age
        self.ended: list[object] = []

    def waits(self, now: float) -> tuple[Wait, float] | None:
        return None if self.wait is None else (self.wait, now - self.age)

    def expire(self, wait: Wait, seconds: float) -> None:
        self.ended.append((wait, seconds))

    def make_room(self, wait: Wait) -> None:
        self.ended.append(wait)


def on_a_loop(test: Callable[[], None]) -> None:
    async def run() -> None:
        test()

    asyncio.run(run())


def test_those_who_have_waited_longest_make_room() -> None:
    def fill() -> None:
        connections = Connections(LIMITS)
        old = [Client(Wait.NEXT, 50), Client(Wait.BODY, 40)]
        others = [Client(Wait.FIRST_BYTE, number) for number in range(30)]
        assert all(connections.add(client) for client in (*others, *old))
        newcomers = [Client(None, 0), Client(None, 0), Client(None, 0)]
        assert all(connections.add(client) for client in newcomers[:1])
        assert [client.ended for client in old] == [[Wait.NEXT], [Wait.BODY]]  # a sixteenth at once
        assert not any(client.ended for client in others)
        assert connections.add(newcomers[1])
        assert not others[-1].ended
        assert connections.add(newcomers[2])
        assert [client for client in others if client.ended] == others[-2:]
        assert len(connections) == 31

    on_a_loop(fill)


def test_nobody_who_waits_for_the_server_goes() -> None:
    def fill() -> None:
        connections = Connections(LIMITS)
        busy = [Client(None, 0) for _ in range(LIMITS.max_connections)]
        assert all(connections.add(client) for client in busy)
        late = Client(None, 0)
        assert not connections.add(late)
        assert not any(client.ended for client in busy)
        connections.discard(busy[0])
        assert connections.add(late)

    on_a_loop(fill)


@pytest.mark.parametrize("wait", Wait)
def test_each_wait_has_its_own_limit(wait: Wait) -> None:
    async def run() -> None:
        limits = replace(LIMITS, **{each.value: 1e6 for each in Wait})
        limits = replace(limits, **{wait.value: 0.1})
        connections = Connections(limits)
        late, early, busy = Client(wait, 0.2), Client(wait, -1e6), Client(None, 0)
        others = [Client(each, 1000) for each in Wait if each is not wait]
        for client in (late, early, busy, *others):
            connections.add(client)
        await becomes(lambda: late.ended)
        assert late.ended[0] == (wait, 0.1)
        assert not any(client.ended for client in (early, busy, *others))

    asyncio.run(run())
