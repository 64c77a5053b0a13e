"""A call that its method's handler answers, in a task: any method but `ModelInfer` of a model that is in memory.

Handlers are those of `grpc.aio` (`service.handlers`): coroutines, or asynchronous generators where they answer in
parts. What they raise is told as grpc.aio tells it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol

from server.api.grpc.native.call_context import Aborted, CallContext, Pairs
from server.api.grpc.native.message_frames import FramedMessage, MessageError
from server.errors import ServingError

log = logging.getLogger("kserve")


class HandledCall(Protocol):
    """The call, as far as its task knows it."""

    def context(self) -> CallContext: ...

    async def read(self, message: FramedMessage) -> bytes:
        """What a message says; it is taken, and others may come in its place."""

    async def send(self, answer: bytes) -> None:
        """Send one of several answers, once the client reads."""

    async def send_only(self, answer: bytes, trailing: Pairs) -> None:
        """Send the only answer, and that all is well."""

    def fail(self, error: ServingError) -> None: ...

    def finish(self, status: str, details: str, trailing: Pairs = ()) -> None: ...


class CallTask:
    """One call, and the messages that its handler has not taken yet."""

    def __init__(self, call: HandledCall, handler: Any, tasks: set[asyncio.Task[None]]) -> None:
        """`tasks` keeps the task from being collected."""
        self._call = call
        self._handler = handler
        self._messages: deque[FramedMessage] = deque()
        self._ended = False  #: no message comes any more
        self._taken = False  #: the first message has come
        self.idle_since: float | None = None  #: when it began to wait for a message of the client's; None: it does not
        self._more = asyncio.Event()
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(self._run())
        tasks.add(self._task)
        self._task.add_done_callback(self._over)

    @property
    def waits(self) -> bool:
        """It has no message, and needs one."""
        return not self._messages and not self._handler.request_streaming

    @property
    def takes_more(self) -> bool:
        """Another message would be of somebody's interest."""
        return bool(self._handler.request_streaming) or not self._taken

    @property
    def lags(self) -> bool:
        """There are messages that the handler has not taken."""
        return bool(self._messages)

    def put(self, message: FramedMessage) -> None:
        self._taken = True
        self._messages.append(message)
        self._more.set()

    def end(self) -> None:
        """The client has said all."""
        self._ended = True
        self._more.set()

    def cancel(self) -> None:
        """Nobody wants an answer any more."""
        if self._task is not None:
            self._task.cancel()

    def _over(self, task: asyncio.Task[None]) -> None:
        """The call and the task know this, too: they would all wait for a look for garbage."""
        self._tasks.discard(task)
        self._task = None
        del self._call

    async def _run(self) -> None:
        context = self._call.context()
        try:
            await self._answer(context)
        except Aborted:
            pass
        except ServingError as error:
            self._call.fail(error)
        except Exception as error:
            log.exception("a gRPC call failed")
            context.status, context.details = "UNKNOWN", f"Unexpected {type(error)}: {error}"
        self._call.finish(context.status, context.details, context.trailing)

    async def _answer(self, context: CallContext) -> None:
        handler = self._handler
        request = self._requests() if handler.request_streaming else await self._only()
        if handler.response_streaming:
            answer = handler.stream_stream or handler.unary_stream
            async with aclosing(answer(request, context)) as parts:
                async for part in parts:
                    await self._call.send(self._written(part))
        else:
            answer = handler.stream_unary or handler.unary_unary
            await self._call.send_only(self._written(await answer(request, context)), context.trailing)

    async def _requests(self) -> AsyncIterator[Any]:
        while (request := await self._next()) is not None:
            yield self._read(request)

    async def _only(self) -> Any:
        request = await self._next()
        if request is None:
            raise MessageError("the call has ended without a whole message")
        return self._read(request)

    async def _next(self) -> bytes | None:
        while not self._messages:
            if self._ended:
                return None
            self._more.clear()
            self.idle_since = asyncio.get_running_loop().time()
            await self._more.wait()
            self.idle_since = None
        return await self._call.read(self._messages.popleft())

    def _read(self, raw: bytes) -> Any:
        read = self._handler.request_deserializer
        return raw if read is None else read(raw)

    def _written(self, answer: Any) -> bytes:
        write = self._handler.response_serializer
        written: bytes = answer if write is None else write(answer)
        return written
