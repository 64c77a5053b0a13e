"""Whole requests to a worker: any number at a time over one connection, on the server's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from adapters.base import Request
from server.workers import wire


class WholeCalls:
    """This end of a worker's connection once its hello has come. It is first used, and so opened, by a request."""

    def __init__(self, end: socket.socket, on_malformed: Callable[[wire.WireError], None]) -> None:
        self._on_malformed = on_malformed
        self._end: socket.socket | None = end.dup()  # the event loop closes what it uses
        self._taking = threading.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._opening: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[wire.Message]] = {}
        self._unanswered: set[int] = set()  #: those too for which nobody waits any more
        #: since when (monotonic) there was something to answer, and no answer came; None: there is nothing to answer
        self.silent_since: float | None = None

    def __len__(self) -> int:
        """How many requests the worker is at."""
        return len(self._unanswered)

    async def ask(self, request: Request) -> wire.Message:
        """The worker's answer.

        Raises:
            ConnectionError: the worker is dead.
            WireError: the request cannot be sent.
        """
        number = next(self._numbers)
        told = {"id": number, "verb": request.verb, "protocol": request.protocol, "headers": dict(request.headers)}
        parts = wire.pack(told, {"body": np.frombuffer(request.body, np.uint8)})
        future: asyncio.Future[wire.Message] = asyncio.get_running_loop().create_future()
        self._begin(number, future)
        try:
            await self._send(parts)
            return await future
        except asyncio.CancelledError:
            if self._writer is not None and number in self._unanswered:
                self._writer.writelines(wire.pack({"cancel": number}))
            raise
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """Let go of a connection that no request ever used; from any thread."""
        if (end := self._take()) is not None:
            end.close()

    def _begin(self, number: int, future: asyncio.Future[wire.Message]) -> None:
        self._waiting[number] = future
        self._unanswered.add(number)
        if self.silent_since is None:
            self.silent_since = time.monotonic()

    def _take(self) -> socket.socket | None:
        with self._taking:
            end, self._end = self._end, None
            return end

    async def _send(self, parts: Sequence[wire.Part]) -> None:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        if not self._opening.done():
            await asyncio.shield(self._opening)
        if self._writer is None or self._reading is None or self._reading.done():
            raise ConnectionResetError("the worker has hung up")
        self._writer.writelines(parts)
        await self._writer.drain()

    async def _open(self) -> None:
        if (end := self._take()) is not None:
            end.setblocking(False)
            with contextlib.suppress(OSError):  # it is dead already
                reader, self._writer = await asyncio.open_unix_connection(sock=end)
                self._reading = asyncio.create_task(self._read(reader, self._writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand answers to those who wait, until the worker hangs up or sends what is no message."""
        try:
            while (message := await wire.read(reader)) is not None:
                number = message.fields.get("id", -1)
                self._unanswered.discard(number)
                self.silent_since = time.monotonic() if self._unanswered else None
                future = self._waiting.get(number)
                if future is not None and not future.done():
                    future.set_result(message)
        except OSError:  # it died with bytes unread
            pass
        except wire.WireError as error:
            self._on_malformed(error)
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionResetError("the worker has hung up"))
            self.silent_since = None
            writer.close()
