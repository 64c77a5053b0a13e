"""Large bodies are read off the event loop, and the largest one at a time."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

from server.inference.body_readers import INLINE_BYTES, LARGE_BYTES, read_aside, reader_of

name: ContextVar[str] = ContextVar("name", default="")


def test_the_largest_are_read_one_after_the_other() -> None:
    gate, begun = threading.Event(), threading.Semaphore(0)
    inside: list[int] = []
    most: list[int] = []

    def read(number: int) -> int:
        inside.append(number)
        most.append(len(inside))
        begun.release()
        gate.wait()
        inside.remove(number)
        return number

    async def all_of(size: int, count: int) -> list[int]:
        return await asyncio.gather(*(read_aside(size, read, number) for number in range(count)))

    async def run() -> None:
        large = asyncio.create_task(all_of(LARGE_BYTES + 1, 3))
        await asyncio.to_thread(begun.acquire)
        other = asyncio.create_task(read_aside(LARGE_BYTES, threading.current_thread))
        assert (await other).name.startswith("codec")  # whoever has less is not held up
        gate.set()
        assert await large == [0, 1, 2]

    asyncio.run(run())
    assert most == [1, 1, 1]


def test_a_small_one_is_read_at_once_and_any_in_the_context_of_its_request() -> None:
    async def run() -> None:
        name.set("mine")
        here = threading.current_thread()
        assert await read_aside(INLINE_BYTES, threading.current_thread) is here
        for size in (INLINE_BYTES + 1, LARGE_BYTES + 1):
            assert await read_aside(size, lambda: (name.get(), threading.current_thread() is here)) == ("mine", False)

    asyncio.run(run())
    assert reader_of(LARGE_BYTES) is not reader_of(LARGE_BYTES + 1)
