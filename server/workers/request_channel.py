"""Whole requests to one worker: any number at a time over one connection, on the server's event loop.

The other end is `request_server.py`. What comes from there is checked: strangers' code runs there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from adapters.base import Reply, ReplyStream, Request
from server.errors import DeadlineExceeded, ModelFailed, ServingError
from server.runtime import ipc
from server.runtime.receiving import ReceiveLimits
from server.workers.channels import failure
from server.workers.own_spans import SPANS
from server.workers.streams import IncomingStream, StreamParts


class RequestChannel:
    """This end of a worker's connection once its hello has come. It is first used, and so opened, by a request.

    `died` gives the error of a worker that is gone (and waits until it is known why); `on_malformed` ends it.
    """

    def __init__(
        self,
        end: socket.socket,
        on_malformed: Callable[[ipc.IpcError], None],
        died: Callable[[], ServingError],
        call_timeout: float,
        limits: ReceiveLimits = ipc.WIDEST,
        on_spans: Callable[[bytes], None] = lambda spans: None,
    ) -> None:
        """`call_timeout`: seconds for an answer, and for each part of a stream while the reader waits for it.

        `limits`: of a message, and, in bytes, of the parts of all streams that no reader has taken yet. `on_spans` gets
        what user code has traced (`own_spans`).
        """
        self._limits = limits
        self._held = 0  #: bytes of parts that no reader has taken
        self._on_malformed = on_malformed
        self._died = died
        self._call_timeout = call_timeout
        self._on_spans = on_spans
        self._end: socket.socket | None = end.dup()  # the event loop closes what it uses
        self._taking = threading.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._opening: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Reply | ReplyStream]] = {}
        self._streams: dict[int, IncomingStream] = {}
        self._unanswered: set[int] = set()  #: those too for which nobody waits any more
        self._awaited: set[int] = set()  #: all of these, but streams whose reader is busy otherwise
        #: since when (monotonic) something was awaited, and nothing came; None: nothing is awaited
        self.silent_since: float | None = None

    def __len__(self) -> int:
        """How many requests the worker is at."""
        return len(self._unanswered)

    async def ask(self, request: Request) -> Reply | ReplyStream:
        """The worker's answer. The parts of a stream raise what this does.

        Raises:
            InvalidInput, ModelFailed: the model's own.
            DeadlineExceeded: it took longer than `call_timeout`.
            ServingError: the worker is dead (`died`).
            IpcError: the request cannot be sent.
        """
        number = next(self._numbers)
        fields = {"id": number, "verb": request.verb, "protocol": request.protocol, "headers": dict(request.headers)}
        message = ipc.pack(fields, {"body": np.frombuffer(request.body, np.uint8)})
        try:
            async with asyncio.timeout(self._call_timeout):
                return await self._exchange(number, message)
        except TimeoutError as error:
            self._abandon(number)
            raise DeadlineExceeded(f"the call took longer than {self._call_timeout:g} s (call_timeout)") from error
        except asyncio.CancelledError:
            self._abandon(number)
            raise
        except ConnectionError as error:
            raise await asyncio.to_thread(self._died) from error
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """Let go of a connection that no request ever used; from any thread."""
        if (end := self._take()) is not None:
            end.close()

    # what streams need (`streams.StreamControl`)

    def grant(self, number: int, parts: int, size: int) -> None:
        self._tell({"credit": number, "parts": parts, "bytes": size})

    def cancel(self, number: int) -> None:
        """Tell the worker that nobody wants the answer, or the rest of it; that it has ended is awaited still."""
        if number in self._unanswered:
            self.set_awaited(number, awaited=True)
            self._tell({"cancel": number})

    def hold(self, size: int) -> None:
        if size > 0 and self._held + size > self._limits.body:
            raise ModelFailed(f"streams that are read too slowly hold more than {self._limits.body} bytes")
        self._held += size

    def set_awaited(self, number: int, *, awaited: bool) -> None:
        if not awaited:
            self._awaited.discard(number)
            if not self._awaited:
                self.silent_since = None
        elif number in self._unanswered:
            self._awaited.add(number)
            if self.silent_since is None:
                self.silent_since = time.monotonic()

    # the connection

    async def _exchange(self, number: int, message: Sequence[ipc.Part]) -> Reply | ReplyStream:
        """
        Raises:
            ConnectionError: the worker has hung up.
        """
        future: asyncio.Future[Reply | ReplyStream] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._unanswered.add(number)
        try:
            writer = await self._connected()
        except BaseException:  # it was never sent
            self._unanswered.discard(number)
            raise
        self.set_awaited(number, awaited=True)
        writer.writelines(message)
        await writer.drain()
        return await future

    def _abandon(self, number: int) -> None:
        """Nobody waits for the answer any more."""
        if (stream := self._streams.get(number)) is not None:
            stream.close()
        else:
            self.cancel(number)

    def _tell(self, fields: dict[str, int]) -> None:
        if self._writer is not None and self._reading is not None and not self._reading.done():
            self._writer.writelines(ipc.pack(fields))

    def _take(self) -> socket.socket | None:
        with self._taking:
            end, self._end = self._end, None
            return end

    async def _connected(self) -> asyncio.StreamWriter:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        if not self._opening.done():
            await asyncio.shield(self._opening)
        if self._writer is None or self._reading is None or self._reading.done():
            raise ConnectionResetError("the worker has hung up")
        return self._writer

    async def _open(self) -> None:
        if (end := self._take()) is not None:
            end.setblocking(False)
            with contextlib.suppress(OSError):  # it is dead already
                reader, self._writer = await asyncio.open_unix_connection(sock=end)
                self._reading = asyncio.create_task(self._read(reader, self._writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand answers to those who wait, until the worker hangs up or sends what is no message."""
        try:
            while (message := await ipc.read(reader, self._limits)) is not None:
                self._receive(message)
                del message  # it may be long, and the next one may be long in coming
        except OSError:  # it died with bytes unread
            pass
        except ipc.IpcError as error:
            self._on_malformed(error)
        finally:
            self._hung_up()
            writer.close()

    def _hung_up(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the worker has hung up"))
        for stream in self._streams.values():
            stream.end(ConnectionResetError("the worker has hung up"))
        self._streams.clear()
        self._unanswered.clear()
        self._awaited.clear()
        self.silent_since = None

    # what comes, which may be anything

    def _receive(self, message: ipc.Message) -> None:
        """
        Raises:
            IpcError: it is no answer to what was asked.
        """
        fields = message.fields
        number = fields.get("id")
        if type(number) is not int or number not in self._unanswered:
            raise ipc.IpcError("an answer to nothing that was asked")
        if (spans := message.tensors.get(SPANS)) is not None:
            self._on_spans(spans.tobytes())
        if number in self._streams or "stream" in fields:
            self._receive_of_stream(number, message)
        else:
            self._answered(number)
            self._resolve(number, failure(message) or _reply(message))
        if self.silent_since is not None:
            self.silent_since = time.monotonic()

    def _receive_of_stream(self, number: int, message: ipc.Message) -> None:
        fields, stream = message.fields, self._streams.get(number)
        if stream is None:
            headers, status = _head(fields)
            stream = self._streams[number] = IncomingStream(number, self)
            self.set_awaited(number, awaited=False)
            parts = StreamParts(stream, self._call_timeout, self._died)
            if not self._resolve(number, ReplyStream(parts, headers, status)):
                stream.close()
        elif "part" in fields:
            stream.put(_body(message))
        elif "end" in fields:
            del self._streams[number]
            self._answered(number)
            stream.end(failure(message))
        else:
            raise ipc.IpcError("neither a part of a stream nor its end")

    def _answered(self, number: int) -> None:
        self._unanswered.discard(number)
        self.set_awaited(number, awaited=False)

    def _resolve(self, number: int, outcome: Reply | ReplyStream | ServingError) -> bool:
        """Whether somebody waits for it."""
        future = self._waiting.get(number)
        if future is None or future.done():
            return False
        if isinstance(outcome, ServingError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
        return True


def _reply(message: ipc.Message) -> Reply | ModelFailed:
    try:
        headers, status = _head(message.fields)
        return Reply(_body(message), headers, status)
    except ipc.IpcError as error:
        return ModelFailed(f"the worker sent {error}")


def _head(fields: Mapping[str, Any]) -> tuple[dict[str, str], int]:
    headers, status = fields.get("headers"), fields.get("status")
    if not isinstance(headers, dict) or type(status) is not int:
        raise ipc.IpcError("a malformed reply")
    return {str(name): str(value) for name, value in headers.items()}, status


def _body(message: ipc.Message) -> bytes:
    body = message.tensors.get("body")
    if body is None or body.dtype != np.uint8:
        raise ipc.IpcError("a malformed reply")
    return body.tobytes()
