"""From the engine's thread to the event loop: events of one step arrive together, in one call per loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Self

from adapters.generation.engine import TokenEvent

#: what a stream is given: an event, what it failed with, or None for its end
Delivery = TokenEvent | Exception | None


class QueuedTokenStream:
    """A `TokenStream`: what the engine has made so far waits here until it is taken.

    It needs no bound: `max_tokens` is one. Made, taken and closed on one event loop; `on_close` is called there, once.
    """

    def __init__(self, on_close: Callable[[], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.cached_tokens = 0  #: set by the engine's thread, before the first event
        self._on_close = on_close
        self._arrived: deque[Delivery] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TokenEvent:
        while not self._arrived:
            if self._closed:
                raise StopAsyncIteration
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        first = self._arrived.popleft()
        if isinstance(first, TokenEvent):
            return first
        self._closed = True
        if first is None:
            raise StopAsyncIteration
        raise first

    async def aclose(self) -> None:
        """Give up; what has arrived and was not taken is dropped. A second time does nothing."""
        self._closed = True
        self._arrived.clear()
        self._wake()
        self._on_close()

    def arrive(self, delivery: Delivery) -> None:
        """On the stream's loop."""
        if not self._closed:
            self._arrived.append(delivery)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Outbox:
    """What a step has for the streams; handed over once the step is done. Used by the engine's thread alone."""

    def __init__(self) -> None:
        self._letters: dict[asyncio.AbstractEventLoop, list[tuple[QueuedTokenStream, Delivery]]] = {}

    def put(self, stream: QueuedTokenStream, delivery: Delivery) -> None:
        self._letters.setdefault(stream.loop, []).append((stream, delivery))

    def send(self) -> None:
        """One call per loop, whatever the number of tokens: a wake-up of a loop costs more than most of its work."""
        letters, self._letters = self._letters, {}
        for loop, of_loop in letters.items():
            try:
                loop.call_soon_threadsafe(_deliver, of_loop)
            except RuntimeError:  # the loop has ended, and nobody is there to read
                continue


def _deliver(letters: Iterable[tuple[QueuedTokenStream, Delivery]]) -> None:
    for stream, delivery in letters:
        stream.arrive(delivery)
