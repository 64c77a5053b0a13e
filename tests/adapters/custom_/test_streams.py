"""Where the steps of a user's generator run, and that it is closed however its stream ends."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import pytest

from adapters.custom_.streams import END, AsyncItems, EncodedParts, ThreadItems, items_of, only_item
from tests.patience import becomes

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


class Log(list[str]):
    def generate(self, *items: Any) -> Iterator[Any]:
        try:
            yield from items
        finally:
            self.append("closed")

    async def generate_async(self, *items: Any) -> AsyncIterator[Any]:
        try:
            for item in items:
                yield item
        finally:
            self.append("closed")


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def encode(item: Any) -> bytes:
    if item == "unfit":
        raise TypeError("no document")
    return str(item).encode()


def failed(error: BaseException) -> Exception:
    return LookupError(f"midway: {error}")


def parts_of(result: Any) -> EncodedParts:
    items = items_of(result)
    assert items is not None
    return EncodedParts(items, encode, failed)


def test_what_is_a_stream() -> None:
    log = Log()
    assert isinstance(items_of(log.generate()), ThreadItems)
    assert isinstance(items_of(map(str, [1])), ThreadItems)
    assert isinstance(items_of(log.generate_async()), AsyncItems)
    for answer in ({"predictions": [1]}, [1, 2], "text", b"raw", None, (1, 2), range(3)):
        assert items_of(answer) is None


@pytest.mark.parametrize("kind", ["generate", "generate_async"])
def test_items_come_in_order_and_the_end_stays(kind: str) -> None:
    async def main() -> None:
        parts = await parts_of(getattr(log, kind)(1, 2, 3)).begin()
        assert [part async for part in parts] == [b"1", b"2", b"3"]
        assert log == ["closed"]
        with pytest.raises(StopAsyncIteration):
            await anext(parts)
        await parts.aclose()
        assert [part async for part in await parts_of(getattr(log, kind)()).begin()] == []

    log = Log()
    run(main())


@pytest.mark.parametrize("kind", ["generate", "generate_async"])
@pytest.mark.parametrize("taken", [0, 1, 2])
def test_who_leaves_closes_the_generator(kind: str, taken: int) -> None:
    async def main() -> None:
        parts = await parts_of(getattr(log, kind)(1, 2, 3)).begin()
        for _ in range(taken):
            await anext(parts)
        assert not log
        await parts.aclose()
        assert log == ["closed"]
        with pytest.raises(StopAsyncIteration):
            await anext(parts)

    log = Log()
    run(main())


@pytest.mark.parametrize("kind", ["generate", "generate_async"])
def test_errors(kind: str) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="no document"):  # as they are, before the first part
            await parts_of(getattr(log, kind)("unfit", 2)).begin()
        assert log.pop() == "closed"
        parts = await parts_of(getattr(log, kind)(1, "unfit", 2)).begin()
        await anext(parts)
        with pytest.raises(LookupError, match="midway: no document"):
            await anext(parts)
        with pytest.raises(StopAsyncIteration):
            await anext(parts)
        await parts.aclose()
        assert log == ["closed"]

    log = Log()
    run(main())


def test_steps_run_in_one_thread_off_the_loop_in_the_requests_context() -> None:
    def steps() -> Iterator[tuple[int, str]]:
        while True:
            before = WHO.get()
            WHO.set("the generator")
            yield threading.get_ident(), before

    async def main() -> None:
        WHO.set("the request")
        items = ThreadItems(steps())
        WHO.set("somebody else")
        seen = [await items.next() for _ in range(5)]
        await items.close()
        assert len({thread for thread, _ in seen} - {threading.get_ident()}) == 1
        assert [who for _, who in seen] == ["the request"] + ["the generator"] * 4
        assert WHO.get() == "somebody else"

    run(main())


def test_a_step_that_blocks_holds_up_nobody_and_is_waited_for_at_the_end() -> None:
    gate, log = threading.Event(), Log()

    def steps() -> Iterator[int]:
        try:
            yield 1
            log.append("in the second")
            gate.wait(60)
            yield 2
        finally:
            log.append("closed")

    async def main() -> None:
        parts = await parts_of(steps()).begin()
        assert await anext(parts) == b"1"
        task = asyncio.create_task(_leaving(parts))
        await becomes(lambda: "in the second" in log)  # the loop runs meanwhile
        task.cancel()
        closing = asyncio.create_task(asyncio.wait([task]))
        await asyncio.sleep(0)
        assert log == ["in the second"]
        gate.set()
        await closing
        assert task.cancelled()
        assert log == ["in the second", "closed"]

    run(main())


async def _leaving(parts: EncodedParts) -> None:
    try:
        await anext(parts)
    finally:
        await parts.aclose()


def test_a_cancelled_step_of_an_asynchronous_generator_ends_at_once() -> None:
    log = Log()

    async def steps() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            log.append("closed")

    async def main() -> None:
        parts = await parts_of(steps()).begin()
        await anext(parts)
        task = asyncio.create_task(_leaving(parts))
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert log == ["closed"]

    run(main())


@pytest.mark.parametrize("kind", ["generate", "generate_async"])
@pytest.mark.parametrize(("items", "only"), [((), END), ((1,), 1), ((1, 2, 3), END)])
def test_the_only_item(kind: str, items: tuple[int, ...], only: Any) -> None:
    log = Log()
    make: Callable[..., Any] = getattr(log, kind)

    async def main() -> None:
        found = items_of(make(*items))
        assert found is not None
        assert await only_item(found) is only
        assert log == ["closed"]

    run(main())
