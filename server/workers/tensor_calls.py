"""Tensor calls to one worker, one at a time: from a thread, which waits, or from the event loop, which does not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from adapters.base import Parameters, Tensors
from server.errors import InvalidInput, ModelFailed, ServingError
from server.workers import wire

Outcome: TypeAlias = Tensors | ServingError
Done: TypeAlias = Callable[[Outcome], None]

_GRACE = 10.0  #: seconds for an event loop to let go of a connection


class ModelTrace(Exception):
    """The stack of a model's failure in its worker; the cause of what is raised here, for the log."""

    def __str__(self) -> str:
        return f"in the worker:\n{self.args[0]}"


class TensorCalls:
    """This end of a worker's connection once its hello has come.

    `died` gives the error of a worker that is gone (and waits until it is known why); `on_malformed` ends it.
    """

    def __init__(
        self,
        connection: wire.Connection,
        on_malformed: Callable[[wire.WireError], None],
        died: Callable[[], ServingError],
    ) -> None:
        self._connection = connection
        self._on_malformed = on_malformed
        self._died = died
        self._free = threading.Event()  #: no event loop watches the connection
        self._free.set()
        self.since: float | None = None  #: when (monotonic) the call in progress began

    def call(self, verb: str, inputs: Tensors, parameters: Parameters) -> Tensors:
        """Blocks. Raises what `ModelProcess.call` raises."""
        parts = wire.pack({"verb": verb, "parameters": dict(parameters)}, inputs)
        self.since = time.monotonic()
        with contextlib.suppress(OSError):  # it is dead: then there will be no answer either
            self._connection.send(parts)
        outcome = self._outcome()
        if isinstance(outcome, ServingError):
            raise outcome
        return outcome

    def begin(self, inputs: Tensors, parameters: Parameters, done: Done) -> None:
        """`predict` for the event loop, which tells `done` the outcome. The inputs are small: a socket holds them."""
        parts = wire.pack({"verb": "predict", "parameters": dict(parameters)}, inputs)
        loop = asyncio.get_running_loop()
        self.since = time.monotonic()
        self._free.clear()
        with contextlib.suppress(OSError):
            self._connection.send(parts)
        loop.add_reader(self._connection.socket.fileno(), self._readable, loop, done)

    def close(self) -> None:
        """Wait until no event loop watches the connection any more: its descriptor will be somebody else's."""
        self._free.wait(_GRACE)

    def _readable(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        loop.remove_reader(self._connection.socket.fileno())
        if self._connection.fill():
            self._free.set()
            done(self._outcome())
            return
        # A long answer, or none: a thread waits for its end, or for the cause of death.
        waiting = loop.run_in_executor(None, self._outcome)
        waiting.add_done_callback(partial(self._waited, done))

    def _waited(self, done: Done, waiting: asyncio.Future[Outcome]) -> None:
        self._free.set()
        done(waiting.result())

    def _outcome(self) -> Outcome:
        """Receive the answer. The call is over then, however it ended."""
        try:
            answer = self._connection.receive()
        except OSError:
            answer = None
        except wire.WireError as error:
            self._on_malformed(error)
            answer = None
        finally:
            self.since = None
        if answer is None:
            return self._died()
        return failure(answer) or answer.tensors


def failure(answer: wire.Message) -> ServingError | None:
    """The model's error, if that is the answer."""
    told = answer.fields
    if "error" not in told:
        return None
    if told.get("kind") == "input":
        return InvalidInput(str(told["error"]))
    error = ModelFailed(str(told["error"]))
    error.__cause__ = ModelTrace(str(told.get("stack", "")))
    return error
