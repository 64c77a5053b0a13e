"""From a thread to a loop: in order, all of a step at once, and nothing for who has closed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapters.generation.engine import TokenEvent
from adapters.generation.token_stream import Outbox, QueuedTokenStream

ONE, TWO = TokenEvent(1), TokenEvent(2)


def nothing() -> None: ...


async def rest_of(stream: QueuedTokenStream) -> list[int]:
    return [event.token async for event in stream]


def test_events_come_in_order_and_end() -> None:
    async def run() -> list[int]:
        stream, outbox = QueuedTokenStream(nothing), Outbox()
        reader = asyncio.ensure_future(rest_of(stream))
        await asyncio.sleep(0)  # it waits already
        for delivery in (ONE, TWO, None):
            outbox.put(stream, delivery)
            await asyncio.to_thread(outbox.send)
        return await reader

    assert asyncio.run(run()) == [1, 2]


def test_an_error_comes_after_what_was_made_and_once() -> None:
    async def run() -> None:
        stream = QueuedTokenStream(nothing)
        for delivery in (ONE, LookupError("no such state")):
            stream.arrive(delivery)
        assert await anext(stream) == ONE
        with pytest.raises(LookupError):
            await anext(stream)
        assert await rest_of(stream) == []

    asyncio.run(run())


def test_a_step_wakes_a_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        streams = [QueuedTokenStream(nothing) for _ in range(9)]
        loop, calls = asyncio.get_running_loop(), []
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *given: calls.append(given))
        outbox = Outbox()
        outbox.send()
        for stream in streams:
            outbox.put(stream, ONE)
        outbox.send()
        outbox.send()
        assert len(calls) == 1

    asyncio.run(run())


def test_who_closes_gets_no_more_and_says_so() -> None:
    closed: list[Any] = []

    async def run() -> None:
        stream = QueuedTokenStream(lambda: closed.append(1))
        stream.arrive(ONE)
        await stream.aclose()
        stream.arrive(TWO)
        assert await rest_of(stream) == []

    asyncio.run(run())
    assert closed == [1]


def test_closing_wakes_who_waits() -> None:
    async def run() -> list[int]:
        stream = QueuedTokenStream(nothing)
        reader = asyncio.ensure_future(rest_of(stream))
        await asyncio.sleep(0)
        await stream.aclose()
        return await reader

    assert asyncio.run(run()) == []


def test_a_reader_that_is_cancelled_may_come_again() -> None:
    async def run() -> list[int]:
        stream = QueuedTokenStream(nothing)
        reader = asyncio.ensure_future(rest_of(stream))
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        for delivery in (ONE, None):
            stream.arrive(delivery)
        return await rest_of(stream)

    assert asyncio.run(run()) == [1]


def test_a_loop_that_has_ended_is_no_error() -> None:
    async def made() -> QueuedTokenStream:
        return QueuedTokenStream(nothing)

    outbox = Outbox()
    outbox.put(asyncio.run(made()), ONE)
    outbox.send()
