"""The workers of one model: each is started, watched and, when it dies, started again; a call goes to an idle one.

    start --> hello --> serving --(it dies, or is killed)--> start again: at once, then after 1, 2, 4 ... 60 s

Each worker has a thread that does nothing else. A worker that served well for a minute begins at "at once" again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from adapters.base import Array, LoadError, Parameters, Reply, ReplyStream, Request, Tensors
from server.errors import NotReady, ServingError
from server.runtime import ipc
from server.runtime.lifeline import resident_bytes
from server.workers.channels import CallDone, CallOutcome
from server.workers.launch import WorkerSpec
from server.workers.messages import Hello
from server.workers.worker import Worker, WorkerDied

log = logging.getLogger("kserve")

#: seconds that a worker must have served for its death to be the first of a row
STEADY = 60.0
LONGEST_PAUSE = 60.0  #: seconds
#: bytes of inputs that the event loop sends itself: an idle worker's socket takes several times as much
SMALL = 32 * 1024


@dataclass
class BackOff:
    """The pauses between restarts, in seconds: 0, 1, 2, 4 ... 60."""

    _next: float = 0.0

    def pause(self, served: float) -> float:
        """Until the next start, after a worker that served for so long."""
        if served >= STEADY:
            self._next = 0.0
        pause, self._next = self._next, min(max(1.0, 2 * self._next), LONGEST_PAUSE)
        return pause


class WorkerPool:
    """`count` workers of one model. Thread-safe."""

    def __init__(self, spec: WorkerSpec, count: int = 1) -> None:
        self._spec = spec
        self.count = count
        self.restarts = 0
        self._on_restart: Callable[[], None] = lambda: None
        #: gets what user code has traced in its processes, on the event loop
        self.take_spans: Callable[[bytes], None] = lambda spans: None
        self._changed = threading.Condition()
        self._workers: set[Worker] = set()  #: all that run
        self._unreaped: set[Worker] = set()  #: those, and what is left of others: what they held is not free yet
        self._serving: list[Worker] = []  #: those that have said hello
        self._idle: list[Worker] = []  #: those that are at no tensor call; the last used comes first
        self._hello: Hello | None = None
        self._started = 0  #: workers whose first start is over, well or not
        self._problem = ""  #: what the latest worker died of, and what is done about it
        self._closed = threading.Event()

    def when_restarted(self, then: Callable[[], None]) -> None:
        """Have `then` called, on some thread, whenever a worker is started again."""
        self._on_restart = then

    def start(self) -> Hello:
        """Start all workers; blocks until they have loaded the model.

        Raises:
            LoadError: the first that could not, with its reason; all are ended then.
        """
        for number in range(self.count):
            threading.Thread(target=self._keep_one, name=f"{self._spec.name}-{number}", daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: self._started >= self.count or self._closed.is_set())
            hello = self._hello
        if hello is None or self._closed.is_set():
            raise LoadError(self._problem or "the worker was stopped: the server is closing")
        return hello

    @property
    def down(self) -> str:
        """Why there is no worker that could answer; empty when there is one."""
        if self._closed.is_set():
            return "it is being unloaded"
        return "" if self._serving else self._problem or "its worker is starting"

    def check(self) -> None:
        """
        Raises:
            NotReady: there is no worker that could answer.
        """
        if self.down:
            raise self._not_ready()

    @property
    def memory(self) -> list[int]:
        """Resident bytes of each worker that serves."""
        sizes = []
        for worker in list(self._serving):
            with contextlib.suppress(OSError):  # it has just died
                sizes.append(resident_bytes(worker.pid))
        return sizes

    @property
    def degraded(self) -> str:
        """What is wrong with some of the workers, while others serve."""
        missing = self.count - len(self._serving)
        return f"{missing} of {self.count} workers: {self._problem}" if missing and self._serving else ""

    def call(self, verb: str, inputs: Tensors, parameters: Parameters) -> Tensors:
        """`predict` or `explain` in a worker that has nothing else to do; blocks.

        Raises:
            InvalidInput, ModelFailed: the model's own.
            NotReady, DeadlineExceeded: there is no worker, or it died or was killed meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self.down)
            self.check()
            worker = self._idle.pop()
        try:
            return worker.call(verb, inputs, parameters)
        finally:
            self._free(worker)

    def begin(self, inputs: Tensors, parameters: Parameters, done: CallDone) -> bool:
        """`predict` from the event loop, if it can begin without waiting; `done` is told the outcome, on the loop."""
        if sum(_size(array) for array in inputs.values()) > SMALL:
            return False
        with self._changed:
            if self.down or not self._idle:  # then `call` says so
                return False
            worker = self._idle.pop()
        try:
            worker.begin(inputs, parameters, partial(self._begun, worker, done))
        except ipc.IpcError:  # it will be told to the thread that tries next
            self._free(worker)
            return False
        return True

    def _begun(self, worker: Worker, done: CallDone, outcome: CallOutcome) -> None:
        self._free(worker)
        done(outcome)

    def _free(self, worker: Worker) -> None:
        with self._changed:
            if worker in self._serving:
                self._idle.append(worker)
                self._changed.notify()

    async def answer(self, request: Request) -> Reply | ReplyStream:
        """A whole request, in the worker that is at the fewest. Raises what `call` raises."""
        serving = list(self._serving)
        if not serving or self._closed.is_set():
            raise self._not_ready()
        return await min(serving, key=lambda worker: worker.busy).answer(request)

    async def answer_each(self, request: Request) -> dict[Worker, Reply | ReplyStream]:
        """The answer of each worker that serves; of those that have none now, nothing."""
        found: dict[Worker, Reply | ReplyStream] = {}
        for worker in list(self._serving):
            with contextlib.suppress(ServingError):
                found[worker] = await worker.answer(request)
        return found

    def close(self) -> None:
        """Let the workers close the model and end; returns at once."""
        self._closed.set()
        with self._changed:
            for worker in self._workers:
                if worker in self._serving:
                    worker.close()
                else:  # it is loading: there is nothing to close
                    worker.kill(WorkerDied("the server is closing"))
            self._changed.notify_all()

    def wait_ended(self, seconds: float) -> bool:
        """After `close`: wait until the processes have ended, at most so long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._unreaped, seconds)

    def kill(self) -> None:
        """End the workers, and what they started, now."""
        self._closed.set()
        with self._changed:
            for worker in self._workers:
                worker.kill(WorkerDied("the server is closing"))
            self._changed.notify_all()

    def _not_ready(self) -> NotReady:
        return WorkerDied(f"model {self._spec.name!r} is not ready: {self.down or 'try again'}")

    # each worker's thread

    def _keep_one(self) -> None:
        back_off, first = BackOff(), True
        while not self._closed.is_set():
            reason, served = self._live(first=first)
            if first and served is None:
                self._give_up(reason)
            if not self._closed.is_set():
                first = False
                self._pause(reason, back_off.pause(served or 0.0))

    def _live(self, *, first: bool) -> tuple[str, float | None]:
        """One worker's life: why it ended, and how many seconds it served, if it came so far."""
        reason, worker, joined = "", None, None
        try:
            self._spec.guard()
            worker = Worker(self._spec, lambda spans: self.take_spans(spans))
            self._enter(worker)
            hello = worker.hello()
            self._spec.guard()  # they were read meanwhile
            self._join(worker, hello, first=first)
            joined = time.monotonic()
            worker.watch()
            reason = worker.reason
        except LoadError as error:
            reason = str(error)
        except Exception as error:  # ours: the thread must live on, or nobody would start a worker again
            log.exception("model %s: the watch over its worker failed", self._spec.name)
            reason = f"{type(error).__name__}: {error}"
        finally:
            if worker is not None:
                self._leave(worker, reason)
                worker.reap()
                self._forget(worker)
        return reason, None if joined is None else time.monotonic() - joined

    def _enter(self, worker: Worker) -> None:
        with self._changed:
            self._unreaped.add(worker)
            if self._closed.is_set():  # while the process was being started: whoever closed did not know of it
                raise LoadError("it is being unloaded")
            self._workers.add(worker)

    def _join(self, worker: Worker, hello: Hello, *, first: bool) -> None:
        with self._changed:
            if self._closed.is_set():
                raise LoadError("it is being unloaded")
            if self._hello is not None and hello.signature != self._hello.signature:
                raise LoadError("its files have changed: load it again")
            self._hello = self._hello or hello
            self._serving.append(worker)
            self._idle.append(worker)
            self._started += first
            self._changed.notify_all()
        if not first:
            log.info("model %s: a new worker serves it", self._spec.name)

    def _leave(self, worker: Worker, reason: str) -> None:
        with self._changed:
            self._workers.discard(worker)
            for workers in (self._serving, self._idle):
                if worker in workers:
                    workers.remove(worker)
            self._problem = self._problem if self._closed.is_set() else f"{reason}; it is being restarted"
            self._changed.notify_all()

    def _forget(self, worker: Worker) -> None:
        with self._changed:
            self._unreaped.discard(worker)
            self._changed.notify_all()

    def _give_up(self, reason: str) -> None:
        """A worker could not start in the first place: the model is not loaded."""
        with self._changed:
            if not self._closed.is_set():
                self._problem = reason
                self.kill()

    def _pause(self, reason: str, seconds: float) -> None:
        when = f"in {seconds:g} s" if seconds else "now"
        log.warning("model %s: %s; it is restarted %s", self._spec.name, reason, when)
        with self._changed:
            self.restarts += 1
            self._on_restart()
            self._problem = f"{reason}; it is restarted {when}"
        self._closed.wait(seconds)
        with self._changed:
            self._problem = f"{reason}; it is being restarted"


def _size(array: Array) -> int:
    """Bytes; of objects a guess on the safe side, as long as they are few."""
    if array.dtype != object:
        return array.nbytes
    return sum(len(value) if isinstance(value, str | bytes) else SMALL for value in array.flat)
