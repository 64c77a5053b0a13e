"""What a stream keeps count of, without any process: credit, the end, who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from server.errors import ModelFailed
from server.runtime.ipc import IpcError
from server.workers.streams import WINDOW_BYTES, WINDOW_PARTS, IncomingStream, SendWindow
from tests.patience import becomes


class Control:
    """Remembers what a stream tells."""

    def __init__(self, most: int = 2**30) -> None:
        self.most = most
        self.held = 0
        self.grants: list[tuple[int, int]] = []
        self.cancelled = 0
        self.awaited = False

    def grant(self, number: int, parts: int, size: int) -> None:
        assert number == 7
        self.grants.append((parts, size))

    def cancel(self, number: int) -> None:
        self.cancelled += 1
        self.awaited = True

    def hold(self, size: int) -> None:
        if size > 0 and self.held + size > self.most:
            raise ModelFailed("read too slowly")
        self.held += size

    def set_awaited(self, number: int, *, awaited: bool) -> None:
        self.awaited = awaited


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_no_more_than_a_window_is_taken_in() -> None:
    stream = IncomingStream(7, Control())
    for _ in range(WINDOW_PARTS):
        stream.put(b"a")
    with pytest.raises(IpcError, match="beyond its credit"):
        stream.put(b"a")


def test_a_window_is_one_of_bytes_too() -> None:
    stream = IncomingStream(7, Control())
    stream.put(b"a" * (WINDOW_BYTES - 1))
    stream.put(b"a" * WINDOW_BYTES)  # the last may be over it, however long it is
    with pytest.raises(IpcError, match="beyond its credit"):
        stream.put(b"")


def test_what_waits_for_readers_is_bounded() -> None:
    async def main() -> None:
        control = Control(most=5)
        one, two, three = (IncomingStream(7, control) for _ in range(3))
        one.put(b"abc")
        one.end(None)  # what it holds still counts
        two.put(b"de")
        assert control.held == 5
        two.put(b"f")
        two.put(b"g")
        two.end(None)
        assert (control.held, control.cancelled) == (3, 1)
        with pytest.raises(ModelFailed, match="too slowly"):
            await two.next()
        with pytest.raises(StopAsyncIteration):
            await two.next()
        assert await one.next() == b"abc"
        three.put(b"12345")
        three.close()
        assert control.held == 0

    run(main())


def test_what_is_taken_is_granted_anew_in_halves() -> None:
    async def main() -> None:
        stream = IncomingStream(7, control := Control())
        for round_ in range(3):
            for _ in range(WINDOW_PARTS):
                stream.put(b"ab")
            for _ in range(WINDOW_PARTS):
                await stream.next()
            assert control.grants == [(WINDOW_PARTS // 2, WINDOW_PARTS)] * 2 * (round_ + 1)
        stream.put(b"a" * (WINDOW_BYTES // 2))
        await stream.next()
        assert control.grants[-1] == (1, WINDOW_BYTES // 2)

    run(main())


def test_the_end_comes_after_the_parts_and_its_error_once() -> None:
    async def main() -> None:
        stream = IncomingStream(7, control := Control())
        stream.put(b"a")
        stream.end(ModelFailed("no"))
        assert await stream.next() == b"a"
        with pytest.raises(ModelFailed, match="no"):
            await stream.next()
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await stream.next()
        stream.close()
        assert not control.cancelled  # it had ended

    run(main())


def test_who_waits_is_awaited_and_who_does_not_is_not() -> None:
    async def main() -> None:
        stream = IncomingStream(7, control := Control())
        stream.put(b"a")
        await stream.next()
        assert not control.awaited
        waiting = asyncio.create_task(stream.next())
        await becomes(lambda: control.awaited)
        stream.put(b"b")
        assert await waiting == b"b"
        assert not control.awaited

    run(main())


def test_who_leaves_cancels_once_and_gets_nothing_more() -> None:
    async def main() -> None:
        stream = IncomingStream(7, control := Control())
        stream.put(b"a")
        waiting = asyncio.create_task(stream.next())
        assert await waiting == b"a"
        waiting = asyncio.create_task(stream.next())
        await becomes(lambda: control.awaited)
        stream.close()
        stream.close()
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert control.cancelled == 1
        assert control.awaited  # for the end
        stream.put(b"late")
        with pytest.raises(StopAsyncIteration):
            await stream.next()
        for _ in range(WINDOW_PARTS - 2):
            stream.put(b"late")
        with pytest.raises(IpcError):  # late parts count as well
            stream.put(b"late")

    run(main())


def test_a_sender_waits_for_credit() -> None:
    async def main() -> None:
        window = SendWindow()
        for _ in range(WINDOW_PARTS):
            await window.wait_open()
            window.spend(1)
        waiting = asyncio.create_task(window.wait_open())
        await asyncio.sleep(0)
        assert not waiting.done()
        window.grant(0, WINDOW_BYTES)  # bytes alone are not enough
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        window.grant(1, 0)
        await waiting

    run(main())
