"""Answers in parts on a worker's connection: what travels, and how much of it may be under way.

    worker: {"id", "headers", "status", "stream": True}   the answer is a stream
    worker: {"id", "part": True}, the part's bytes        while the window is open
    worker: {"id", "end": True}, or also the failure      always, and last; after a cancel too
    parent: {"credit": id, "parts": n, "bytes": n}        the reader has taken so much
    parent: {"cancel": id}                                nobody wants the rest

A worker makes no part that it may not send. So a slow reader holds up its own stream, with a window's worth of parts in
the parent's memory, and nobody else's: the parent always reads the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from server.errors import DeadlineExceeded, ModelFailed, ServingError
from server.runtime import ipc

#: parts that a worker may send ahead of the reader: a few, since what they hide is the way of a grant, a fraction of a
#: millisecond; and each was made for nothing if the reader leaves
WINDOW_PARTS = 8
#: ... and bytes, of which the last part may be over: what a slow reader holds of the server's memory. Tokens and events
#: never come to that; of images there is one under way
WINDOW_BYTES = 256 * 1024


@dataclass(slots=True)
class Window:
    """What may be sent."""

    parts: int = WINDOW_PARTS
    bytes: int = WINDOW_BYTES

    @property
    def is_open(self) -> bool:
        return self.parts > 0 and self.bytes > 0

    def spend(self, size: int) -> None:
        """A part of so many bytes is sent."""
        self.parts -= 1
        self.bytes -= size

    def grant(self, parts: int, size: int) -> None:
        self.parts += parts
        self.bytes += size


class SendWindow:
    """The worker's side of a window."""

    def __init__(self) -> None:
        self._window = Window()
        self._granted = asyncio.Event()

    async def wait_open(self) -> None:
        while not self._window.is_open:
            self._granted.clear()
            await self._granted.wait()

    def spend(self, size: int) -> None:
        self._window.spend(size)

    def grant(self, parts: int, size: int) -> None:
        self._window.grant(parts, size)
        self._granted.set()


class StreamControl(Protocol):
    """What a stream tells its worker, and the watch over it; `number` is the request's."""

    def grant(self, number: int, parts: int, size: int) -> None: ...

    def cancel(self, number: int) -> None: ...

    def hold(self, size: int) -> None:
        """So many bytes more (or less) wait for readers of this worker's streams.

        Raises:
            ModelFailed: they are too many; these are not counted.
        """

    def set_awaited(self, number: int, *, awaited: bool) -> None:
        """Whether somebody waits for what the worker sends next."""


class IncomingStream:
    """The parent's side of one stream, on the event loop. One task reads it."""

    def __init__(self, number: int, control: StreamControl) -> None:
        self._number = number
        self._control = control
        self._window = Window()  #: what the worker may still send
        self._taken = Window(0, 0)  #: what the reader took since the last grant
        self._parts: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._ended = False  #: nothing will come any more
        self._closed = False  #: the reader has left

    def put(self, part: bytes) -> None:
        """The worker has sent a part.

        Raises:
            IpcError: it must not.
        """
        if not self._window.is_open:
            raise ipc.IpcError("a part beyond its credit")
        self._window.spend(len(part))
        if self._closed:
            return
        try:
            self._control.hold(len(part))
        except ModelFailed as error:  # the reader gets it instead of what it has not taken
            self.close()
            self._error = error
        else:
            self._parts.append(part)
            self._wake()

    def end(self, error: Exception | None) -> None:
        """Nothing comes after what has come; `error` is raised then."""
        self._ended, self._error = True, self._error or error
        self._wake()

    async def next(self) -> bytes:
        """The next part.

        Raises:
            StopAsyncIteration: there is none.
            Exception: what the stream ended with; once.
        """
        if not self._parts and not self._ended and not self._closed:
            await self._arrival()
        if self._parts:
            part = self._parts.popleft()
            self._control.hold(-len(part))
            self._take(len(part))
            return part
        error, self._error = self._error, None
        raise error or StopAsyncIteration

    def close(self) -> None:
        """The reader leaves: the rest is not wanted."""
        if not self._closed:
            self._closed = True
            self._control.hold(-sum(map(len, self._parts)))
            self._parts.clear()
            self._error = None
            if not self._ended:
                self._control.cancel(self._number)
            self._wake()

    async def _arrival(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        self._control.set_awaited(self._number, awaited=True)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if not self._closed:  # then it is the end that is awaited
                self._control.set_awaited(self._number, awaited=False)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _take(self, size: int) -> None:
        """Grant anew what was taken, when it is half a window: one message for several parts."""
        taken = self._taken
        taken.grant(1, size)
        if not self._ended and (taken.parts >= WINDOW_PARTS // 2 or taken.bytes >= WINDOW_BYTES // 2):
            self._control.grant(self._number, taken.parts, taken.bytes)
            self._window.grant(taken.parts, taken.bytes)
            self._taken = Window(0, 0)


class StreamParts:
    """The parts of a worker's answer, as `adapters.base.Parts`; each may take `call_timeout` once it is asked for."""

    def __init__(self, stream: IncomingStream, call_timeout: float, died: Callable[[], ServingError]) -> None:
        self._stream = stream
        self._call_timeout = call_timeout
        self._died = died

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            async with asyncio.timeout(self._call_timeout):
                return await self._stream.next()
        except TimeoutError as error:
            self._stream.close()
            raise DeadlineExceeded(f"a part took longer than {self._call_timeout:g} s (call_timeout)") from error
        except ConnectionError as error:
            raise await asyncio.to_thread(self._died) from error

    async def aclose(self) -> None:
        """Cancel what is left; the worker ends within the part that it is making."""
        self._stream.close()
