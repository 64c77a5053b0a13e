"""The parent's side of one worker: start it, hear its hello, call it, watch it, say why it died.

One thread (the pool's, one a worker) starts and watches; predict threads call, one at a time; whole requests come from
the event loop, any number at a time. A worker that dies or is killed fails all of its calls, at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from adapters.base import LoadError, Parameters, Reply, ReplyStream, Request, Tensors
from server.errors import DeadlineExceeded, NotReady, ServingError
from server.runtime import ipc
from server.runtime.child_process import ChildProcess
from server.runtime.lifeline import resident_bytes_of_all
from server.workers.channels import CallDone, TensorChannel
from server.workers.launch import WorkerSpec
from server.workers.messages import Hello
from server.workers.output import OutputLog
from server.workers.request_channel import RequestChannel
from server.workers.self_test import DOING

MIB = 2**20
_TICK = 0.5  #: seconds between two looks at a worker's calls
_MEMORY_TICK = 0.1  #: ... where its memory is limited
_GRACE = 10.0  #: seconds for the watching thread to find out why a worker died
_HUNG_UP = 2.0  #: seconds for a worker that has hung up to end
_CLOSING = 5.0  #: seconds for a model to close by itself


class WorkerDied(NotReady):
    """The process of the model ended while, or before, it could answer; it is being restarted."""

    retry_after = 1


class Worker:
    """One worker, from its start to its death."""

    def __init__(self, spec: WorkerSpec, on_spans: Callable[[bytes], None] = lambda spans: None) -> None:
        """`on_spans` gets what user code has traced.

        Raises:
            LoadError: no process can be started.
        """
        self._spec = spec
        self._on_spans = on_spans
        self._tick = _MEMORY_TICK if spec.memory_limit else _TICK
        self._requests: RequestChannel | None = None
        self._verdict: ServingError | None = None  #: why it was killed
        self._closing = False
        self._dead = threading.Event()
        self.reason = ""  #: why it died
        self._output = OutputLog(spec.name)
        try:
            self._child = ChildProcess(
                "worker", spec.command, spec.environ(), self._output.take, spec.limits, spec.confine()
            )
        except OSError as error:
            raise LoadError(f"no process for the model could be started: {error}") from error
        self._tensors = TensorChannel(self._child.connection, self._malformed, self._died)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def busy(self) -> int:
        """How many whole requests it is at: a stream until its end, also one that nobody reads any more."""
        return len(self._requests) if self._requests is not None else 0

    # what the watching thread does

    def hello(self) -> Hello:
        """Wait until the model is loaded.

        Raises:
            LoadError: it cannot be loaded; the message is the reason.
        """
        stage, deadline = "load", time.monotonic() + self._spec.load_timeout
        try:
            self._child.connection.send(ipc.pack({**self._spec.job.to_fields(), "most": self._spec.limits.body}))
            while "stage" in (message := self._receive(deadline)).fields:
                stage = str(message.fields["stage"])
        except TimeoutError as error:
            doing = DOING.get(stage, stage)
            raise LoadError(f"{doing} took longer than {self._spec.load_timeout:g} s (--load_timeout)") from error
        except (OSError, EOFError, ipc.IpcError) as error:
            raise LoadError(self._why_dead(DOING.get(stage, stage))) from error
        if "reason" in message.fields:
            raise LoadError(str(message.fields["reason"]))
        hello = Hello.of(message.fields, message.tensors)
        self._child.forget_output()
        self._child.watch_only()
        if hello.signature.whole:
            self._requests = RequestChannel(
                self._child.connection.socket,
                self._malformed,
                self._died,
                self._spec.call_timeout,
                self._spec.limits,
                self._on_spans,
            )
        return hello

    def watch(self) -> None:
        """Look after it until it is dead; `reason` says why then."""
        while not self._child.wait(self._tick) and self._child.alive():
            self._look()
        self.reason = "" if self._closing else self._why_dead()

    def reap(self) -> None:
        """Tell its callers, and end it: at once, or, where it was told to close, after a moment for that."""
        self._dead.set()
        self._child.end(_CLOSING if self._closing else 0)
        self._tensors.close()
        self._child.reap()
        self._output.close()
        if self._requests is not None:
            self._requests.close()

    def _receive(self, deadline: float) -> ipc.Message:
        while True:
            try:
                return self._child.receive(min(deadline, time.monotonic() + self._tick))
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise
                self._look()

    def _look(self) -> None:
        """Kill it when it hangs or uses too much memory."""
        since = self._tensors.since if self._requests is None else self._requests.silent_since
        if since is not None and time.monotonic() - since > self._spec.call_timeout:
            self.kill(DeadlineExceeded(f"a call took longer than {self._spec.call_timeout:g} s (call_timeout)"))
        if (limit := self._spec.memory_limit) is None:
            return
        try:
            used = resident_bytes_of_all(self.pid)
        except OSError:  # it is dead, which `wait` will tell
            return
        if used > limit:
            self.kill(WorkerDied(f"the worker used {used / MIB:.0f} MiB; its memory_limit is {limit / MIB:.0f} MiB"))

    def _why_dead(self, doing: str = "") -> str:
        return str(self._verdict) if self._verdict else self._child.cause_of_death(doing, _HUNG_UP)

    # what other threads do

    def kill(self, verdict: ServingError) -> None:
        """End it, for this reason."""
        self._verdict = self._verdict or verdict
        self._child.kill()

    def close(self) -> None:
        """Ask it to let go of the model and to end; does not wait."""
        self._closing = True
        self._child.hang_up()

    def call(self, verb: str, inputs: Tensors, parameters: Parameters) -> Tensors:
        """`predict` or `explain`; blocks. One thread at a time.

        Raises:
            InvalidInput, ModelFailed: the model's own.
            WorkerDied, DeadlineExceeded: the worker is dead.
        """
        return self._tensors.call(verb, inputs, parameters)

    def begin(self, inputs: Tensors, parameters: Parameters, done: CallDone) -> None:
        """`predict` of small inputs from the event loop, without waiting; `done` is told the outcome on the loop."""
        self._tensors.begin(inputs, parameters, done)

    async def answer(self, request: Request) -> Reply | ReplyStream:
        """A whole request; any number at a time, on one event loop. Raises what `call` raises."""
        assert self._requests is not None
        return await self._requests.ask(request)

    def _malformed(self, error: ipc.IpcError) -> None:
        self.kill(WorkerDied(f"the worker sent what is no message: {error}"))

    def _died(self) -> ServingError:
        """The error for whoever waited for it; blocks for the moment until it is known why it died."""
        self._dead.wait(_GRACE)
        if isinstance(self._verdict, DeadlineExceeded) and self._requests is None:  # it was this caller's own call
            return self._verdict
        return WorkerDied(f"model {self._spec.name!r} is not ready: {self.reason or 'its worker has ended'}")
