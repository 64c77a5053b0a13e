"""Tensor calls to one worker, one at a time: from a thread, which waits, or from the event loop, which does not.

Whole requests to a worker: any number at a time over one connection, on the server's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from adapters.base import Parameters, Request, Tensors
from server.errors import InvalidInput, ModelFailed, ServingError
from server.runtime import ipc

Outcome: TypeAlias = Tensors | ServingError
Done: TypeAlias = Callable[[Outcome], None]

_GRACE = 10.0  #: seconds for an event loop to let go of a connection


class ModelTrace(Exception):
    """The stack of a model's failure in its worker; the cause of what is raised here, for the log."""

    def __str__(self) -> str:
        return f"in the worker:\n{self.args[0]}"


class TensorChannel:
    """This end of a worker's connection once its hello has come.

    `died` gives the error of a worker that is gone (and waits until it is known why); `on_malformed` ends it.
    """

    def __init__(
        self,
        connection: ipc.Connection,
        on_malformed: Callable[[ipc.IpcError], None],
        died: Callable[[], ServingError],
    ) -> None:
        self._connection = connection
        self._on_malformed = on_malformed
        self._died = died
        self._using = threading.Lock()  #: held as long as a call needs the connection's descriptor
        self._closed = False
        self.since: float | None = None  #: when (monotonic) the call in progress began

    def call(self, verb: str, inputs: Tensors, parameters: Parameters) -> Tensors:
        """Blocks. Raises what `ModelProcess.call` raises."""
        parts = ipc.pack({"verb": verb, "parameters": dict(parameters)}, inputs)
        with self._using:
            self._send(parts)
            outcome = self._outcome()
        if isinstance(outcome, ServingError):
            raise outcome
        return outcome

    def begin(self, inputs: Tensors, parameters: Parameters, done: Done) -> None:
        """`predict` for the event loop, which tells `done` the outcome. The inputs are small: a socket holds them."""
        parts = ipc.pack({"verb": "predict", "parameters": dict(parameters)}, inputs)
        loop = asyncio.get_running_loop()
        self._using.acquire()  # the end of the call releases it
        self._send(parts)
        if self._closed:
            self._wait_in_thread(loop, done)
        else:
            loop.add_reader(self._connection.socket.fileno(), self._readable, loop, done)

    def close(self) -> None:
        """The worker is dead. Wait until no call uses the connection, whose descriptor may soon be somebody else's."""
        if self._using.acquire(timeout=_GRACE):
            self._closed = True
            self._using.release()

    def _send(self, parts: Sequence[ipc.Part]) -> None:
        self.since = time.monotonic()
        if not self._closed:
            with contextlib.suppress(OSError):  # it is dead: then there will be no answer either
                self._connection.send(parts)

    def _readable(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        loop.remove_reader(self._connection.socket.fileno())
        if self._connection.fill():
            outcome = self._outcome()
            self._using.release()
            done(outcome)
        else:
            self._wait_in_thread(loop, done)

    def _wait_in_thread(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """For the end of a long answer, or for the cause of death."""
        waiting = loop.run_in_executor(None, self._outcome)
        waiting.add_done_callback(partial(self._waited, done))

    def _waited(self, done: Done, waiting: asyncio.Future[Outcome]) -> None:
        self._using.release()
        done(waiting.result())

    def _outcome(self) -> Outcome:
        """Receive the answer. The call is over then, however it ended."""
        try:
            answer = None if self._closed else self._connection.receive()
        except OSError:
            answer = None
        except ipc.IpcError as error:
            self._on_malformed(error)
            answer = None
        finally:
            self.since = None
        if answer is None:
            return self._died()
        return failure(answer) or answer.tensors


def failure(answer: ipc.Message) -> ServingError | None:
    """The model's error, if that is the answer."""
    told = answer.fields
    if "error" not in told:
        return None
    if told.get("kind") == "input":
        return InvalidInput(str(told["error"]))
    error = ModelFailed(str(told["error"]))
    error.__cause__ = ModelTrace(str(told.get("stack", "")))
    return error


class RequestChannel:
    """This end of a worker's connection once its hello has come. It is first used, and so opened, by a request."""

    def __init__(self, end: socket.socket, on_malformed: Callable[[ipc.IpcError], None]) -> None:
        self._on_malformed = on_malformed
        self._end: socket.socket | None = end.dup()  # the event loop closes what it uses
        self._taking = threading.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._opening: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[ipc.Message]] = {}
        self._unanswered: set[int] = set()  #: those too for which nobody waits any more
        #: since when (monotonic) there was something to answer, and no answer came; None: there is nothing to answer
        self.silent_since: float | None = None

    def __len__(self) -> int:
        """How many requests the worker is at."""
        return len(self._unanswered)

    async def ask(self, request: Request) -> ipc.Message:
        """The worker's answer.

        Raises:
            ConnectionError: the worker is dead.
            WireError: the request cannot be sent.
        """
        number = next(self._numbers)
        told = {"id": number, "verb": request.verb, "protocol": request.protocol, "headers": dict(request.headers)}
        parts = ipc.pack(told, {"body": np.frombuffer(request.body, np.uint8)})
        future: asyncio.Future[ipc.Message] = asyncio.get_running_loop().create_future()
        self._begin(number, future)
        try:
            await self._send(parts)
            return await future
        except asyncio.CancelledError:
            if self._writer is not None and number in self._unanswered:
                self._writer.writelines(ipc.pack({"cancel": number}))
            raise
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """Let go of a connection that no request ever used; from any thread."""
        if (end := self._take()) is not None:
            end.close()

    def _begin(self, number: int, future: asyncio.Future[ipc.Message]) -> None:
        self._waiting[number] = future
        self._unanswered.add(number)
        if self.silent_since is None:
            self.silent_since = time.monotonic()

    def _take(self) -> socket.socket | None:
        with self._taking:
            end, self._end = self._end, None
            return end

    async def _send(self, parts: Sequence[ipc.Part]) -> None:
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
            while (message := await ipc.read(reader)) is not None:
                number = message.fields.get("id", -1)
                self._unanswered.discard(number)
                self.silent_since = time.monotonic() if self._unanswered else None
                future = self._waiting.get(number)
                if future is not None and not future.done():
                    future.set_result(message)
        except OSError:  # it died with bytes unread
            pass
        except ipc.IpcError as error:
            self._on_malformed(error)
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionResetError("the worker has hung up"))
            self.silent_since = None
            writer.close()
