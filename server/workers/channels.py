"""Tensor calls to one worker, one at a time: from a thread, which waits, or from the event loop, which does not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from adapters.base import Parameters, Tensors
from server.errors import InvalidInput, ModelFailed, RefusedByModel, ServingError, TooLong
from server.runtime import ipc

CallOutcome: TypeAlias = Tensors | ServingError
CallDone: TypeAlias = Callable[[CallOutcome], None]

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
        """Blocks. Raises what `Worker.call` raises."""
        parts = ipc.pack({"verb": verb, "parameters": dict(parameters)}, inputs)
        with self._using:
            self._send(parts)
            outcome = self._outcome()
        if isinstance(outcome, ServingError):
            raise outcome
        return outcome

    def begin(self, inputs: Tensors, parameters: Parameters, done: CallDone) -> None:
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

    def _readable(self, loop: asyncio.AbstractEventLoop, done: CallDone) -> None:
        loop.remove_reader(self._connection.socket.fileno())
        if self._connection.fill():
            outcome = self._outcome()
            self._using.release()
            done(outcome)
        else:
            self._wait_in_thread(loop, done)

    def _wait_in_thread(self, loop: asyncio.AbstractEventLoop, done: CallDone) -> None:
        """For the end of a long answer, or for the cause of death."""
        waiting = loop.run_in_executor(None, self._outcome)
        waiting.add_done_callback(partial(self._waited, done))

    def _waited(self, done: CallDone, waiting: asyncio.Future[CallOutcome]) -> None:
        self._using.release()
        done(waiting.result())

    def _outcome(self) -> CallOutcome:
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
    fields = answer.fields
    if "error" not in fields:
        return None
    if "status" in fields:
        return RefusedByModel(str(fields["error"]), _status(fields["status"]))
    if (refused := {"input": InvalidInput, "too_long": TooLong}.get(str(fields.get("kind")))) is not None:
        return refused(str(fields["error"]))
    error = ModelFailed(str(fields["error"]))
    if "stack" in fields:
        error.__cause__ = ModelTrace(str(fields["stack"]))
    return error


def _status(sent: object) -> int:
    """The status that a model's code chose, where it is one of an error."""
    return sent if isinstance(sent, int) and 400 <= sent < 600 else ModelFailed.status
