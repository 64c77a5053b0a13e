"""The calls of a model, and what runs those that do not run on the event loop itself.

`policy.ExecutionPolicy` says where each runs (`Place`); the `Batcher` itself runs those on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from time import monotonic, thread_time
from typing import TypeAlias

import numpy as np

from adapters.base import Parameters, Tensors
from server.codec.request import DecodedRequest
from server.errors import NotReady, as_serving_error
from server.inference.batching.merging import BatchCaller, Outcome, merged
from server.inference.batching.queue import QueuedRequest
from server.inference.batching.threads import Executor

#: begins a call of the model elsewhere, if that can be done now; the function that it takes is told the outcome
Begin: TypeAlias = Callable[[Tensors, Parameters, Callable[[Outcome], None]], bool]
Run: TypeAlias = Callable[[Sequence[DecodedRequest]], Sequence[Outcome]]


class Place(Enum):
    """Where a call runs."""

    INLINE = "on the event loop: it is short, handing it over would take longer"
    REMOTE = "in a worker process: begun by the event loop, which hears of its end; no thread need wait"
    SPLIT = "in parts, one an idle core: its rows are many, and independent"
    THREAD = "in a thread"


@dataclass(slots=True, eq=False)
class Call:
    """One call of the model, for all the requests that share it."""

    requests: list[QueuedRequest]
    decoded: list[DecodedRequest]  #: what they ask the model
    rows: int
    place: Place = Place.THREAD
    parts: int = 1  #: of one that is split
    seconds: float | None = None  #: that it took; None: it has not run
    cpu: float = math.inf  #: seconds of processor time; infinite where several threads or another process computed


#: takes the outcomes of a call, on the event loop
Finished: TypeAlias = Callable[[Call, Sequence[Outcome]], None]


class CallExecutor:
    """Runs calls of one model on other threads and in other processes. It lives on the event loop."""

    def __init__(self, caller: BatchCaller, executor: Executor, begin: Begin | None, finished: Finished) -> None:
        """`begin` is that of a model in another process."""
        self.caller = caller
        self._executor = executor
        self._begin = begin
        self._finished = finished

    def start(self, loop: asyncio.AbstractEventLoop, call: Call) -> None:
        """Begin a call; `finished` is told its outcomes, later or (where it cannot run at all) before this returns."""
        if call.place is Place.REMOTE and self._begin is not None and self._begin_remote(self._begin, loop, call):
            return
        if call.place is Place.SPLIT:
            self._submit(partial(self._start_split, loop, call), call)
        else:
            self._in_thread(self.caller.run, loop, call)

    def _begin_remote(self, begin: Begin, loop: asyncio.AbstractEventLoop, call: Call) -> bool:
        started = monotonic()

        def done(outcome: Outcome) -> None:
            shares = self.caller.shares(call.decoded, outcome)
            if shares is None:
                self._in_thread(self.caller.each, loop, call)
            else:
                call.seconds = monotonic() - started
                self._finished(call, shares)

        return begin(*merged(call.decoded), done)

    def _in_thread(self, run: Run, loop: asyncio.AbstractEventLoop, call: Call) -> None:
        self._submit(partial(self._executor.submit, self._work, run, loop, call), call)

    def _start_split(self, loop: asyncio.AbstractEventLoop, call: Call) -> None:
        started = monotonic()

        def done(outcome: Outcome) -> None:
            call.seconds = monotonic() - started
            self._finish_soon(loop, call, [outcome])

        SplitCall(self.caller, call.requests[0].decoded, call.parts, done).start(self._executor)

    def _submit(self, start: Callable[[], object], call: Call) -> None:
        try:
            start()
        except RuntimeError:  # the executor is shut down
            self._finished(call, [NotReady("the server is stopping")] * len(call.requests))

    def _work(self, run: Run, loop: asyncio.AbstractEventLoop, call: Call) -> None:
        """In a thread."""
        started, used = monotonic(), thread_time()
        try:
            outcomes: Sequence[Outcome] = run(call.decoded)
        except BaseException as error:  # ours, but the callers still wait and the call still counts as running
            outcomes = [as_serving_error(error)] * len(call.requests)
        call.seconds, call.cpu = monotonic() - started, thread_time() - used
        self._finish_soon(loop, call, outcomes)

    def _finish_soon(self, loop: asyncio.AbstractEventLoop, call: Call, outcomes: Sequence[Outcome]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            loop.call_soon_threadsafe(self._finished, call, outcomes)


class SplitCall:
    """One call of `parts` parts; `done` gets its outcome on the thread that ends last.

    Every framework works with one thread, which is fastest while many requests are under way. A request of thousands of
    rows on an idle machine would leave the other cores idle, so its rows, which are independent, are dealt out.
    """

    def __init__(
        self, caller: BatchCaller, request: DecodedRequest, parts: int, done: Callable[[Outcome], None]
    ) -> None:
        ends = [request.rows * (i + 1) // parts for i in range(parts)]
        self._ranges = list(zip([0, *ends], ends, strict=False))
        self._caller = caller
        self._request = request
        self._done = done
        self._outputs: dict[int, Tensors] = {}
        self._left = parts
        self._lock = threading.Lock()

    def start(self, executor: Executor) -> None:
        """Run each part on a thread.

        Raises:
            RuntimeError: the executor is shut down.
        """
        for i in range(len(self._ranges)):
            executor.submit(self._run_part, i)

    def _run_part(self, i: int) -> None:
        start, end = self._ranges[i]
        request = self._request
        inputs = {name: array[start:end] for name, array in request.inputs.items()}
        outputs = self._caller.attempt(DecodedRequest(inputs, end - start, request.parameters))
        with self._lock:
            if outputs is not None:
                self._outputs[i] = outputs
            self._left -= 1
            last = self._left == 0
        if last:
            self._done(self._together())

    def _together(self) -> Outcome:
        """The parts in order; where one failed, the undivided call again: its error counts rows as the client does."""
        parts = [self._outputs[i] for i in sorted(self._outputs)]
        if len(parts) < len(self._ranges):
            return self._caller.run([self._request])[0]
        try:
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        except (ValueError, KeyError):  # parts of different shapes, as texts of different lengths give
            return self._caller.run([self._request])[0]
