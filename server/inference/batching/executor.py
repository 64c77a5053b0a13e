"""Where a call of the model runs: on the event loop, in a thread, or in parts on several threads.

short, and proved so (Pace)         on the event loop: handing it over would take longer
in a worker process, and small      begun by the event loop, which hears of its end: no thread need wait
1,000 rows and more, others idle    dealt out to the idle cores (Spread)
everything else                     in a thread, as many at a time as pay (Lanes)

A large call in parts, one a core, while nothing else runs.

Every framework works with one thread, which is fastest while many requests are under way. A request of thousands of
rows on an idle machine would leave the other cores idle, so its rows, which are independent, are dealt out.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, thread_time
from typing import TypeAlias

import numpy as np

from adapters.base import Parameters, Tensors
from server.codec.request import DecodedRequest
from server.errors import NotReady, as_serving_error
from server.inference.batching.adaptive import CallCost, ConcurrencyLimit, InlinePolicy
from server.inference.batching.merging import BatchCaller, Outcome, merged
from server.inference.batching.threads import Executor, spare

#: takes the outcomes of a call, on the event loop
Finish: TypeAlias = Callable[[Sequence[Outcome]], None]
#: bytes of inputs that are passed on from the event loop
SMALL = 32 * 1024
Run: TypeAlias = Callable[[list[DecodedRequest]], Sequence[Outcome]]
#: begins a call of the model elsewhere, if that can be done now; the function that it takes is told the outcome
Begin: TypeAlias = Callable[[Tensors, Parameters, Callable[[Outcome], None]], bool]


@dataclass(eq=False)
class Dispatcher:
    """Runs the calls of one model, and learns from each where the next should run."""

    caller: BatchCaller
    executor: Executor
    lanes: ConcurrencyLimit
    steady: bool = False  #: how long a call takes depends on its inputs' shapes alone
    divisible: bool = False  #: rows are independent
    cores: Callable[[], int] = lambda: 1  #: threads that a large call may be dealt out to, now
    saturated: Callable[[], bool] = lambda: False  #: requests are waiting
    begin: Begin | None = None  #: of a model in another process
    leaves: Callable[[], bool] = bool  #: others need a core beside the threads; `bool()` is False
    pace: InlinePolicy = field(init=False)
    cost: CallCost = field(default_factory=CallCost)  #: of calls that do not run on the event loop
    running: int = 0

    def __post_init__(self) -> None:
        self.pace = InlinePolicy(self.steady)

    @property
    def free(self) -> int:
        """Calls that may begin now."""
        free = max(0, self.lanes.now - self.running)
        if self.lanes.now > 1 and self._leaves_a_core():
            least = 0 if self.running else 1  # a model that is at nothing may always begin
            return min(free, max(least, spare(self.executor) - 1))
        return free

    def _leaves_a_core(self) -> bool:
        return self.begin is None and self.leaves()

    def run(self, loop: asyncio.AbstractEventLoop, calls: list[DecodedRequest], rows: int, finish: Finish) -> None:
        """Begin one call for all these requests; where it is short, it is over on return."""
        self.running += 1
        alone = self.running == 1
        if alone and self.pace.short(rows):
            used = thread_time()
            outcomes = self.caller.run(calls)
            self.cost.fixed = 0.0  # whatever it was while the model was cold
            self._over(rows, thread_time() - used)
            finish(outcomes)
        elif self.begin is not None and self._begin(self.begin, loop, calls, rows, finish):
            return
        elif alone and self.divisible and rows >= LARGE and len(calls) == 1 and (cores := self._cores()) > 1:
            self._spread(loop, calls[0], cores, finish)
        else:
            self._in_thread(self.caller.run, loop, calls, rows, finish)

    def _begin(
        self, begin: Begin, loop: asyncio.AbstractEventLoop, calls: list[DecodedRequest], rows: int, finish: Finish
    ) -> bool:
        if sum([array.nbytes for call in calls for array in call.inputs.values()]) > SMALL:
            return False
        start = monotonic()

        def done(outcome: Outcome) -> None:
            shares = self.caller.shares(calls, outcome)
            if shares is None:
                self._in_thread(self.caller.each, loop, calls, rows, finish)
            else:
                self._told(rows, shares, monotonic() - start, math.inf, finish)

        return begin(*merged(calls), done)

    def _in_thread(
        self, run: Run, loop: asyncio.AbstractEventLoop, calls: list[DecodedRequest], rows: int, finish: Finish
    ) -> None:
        self._submit(partial(self.executor.submit, self._work, run, loop, calls, rows, finish), len(calls), finish)

    def _spread(self, loop: asyncio.AbstractEventLoop, call: DecodedRequest, parts: int, finish: Finish) -> None:
        start = monotonic()

        def done(outcome: Outcome) -> None:
            self._tell(loop, call.rows, [outcome], monotonic() - start, math.inf, finish)

        self._submit(partial(SplitCall(self.caller, call, parts, done).start, self.executor), 1, finish)

    def _cores(self) -> int:
        return min(self.cores(), spare(self.executor) - 1) if self._leaves_a_core() else self.cores()

    def _submit(self, start: Callable[[], object], count: int, finish: Finish) -> None:
        try:
            start()
        except RuntimeError:  # the executor is shut down
            self.running -= 1
            finish([NotReady("the server is stopping")] * count)

    def _work(
        self, run: Run, loop: asyncio.AbstractEventLoop, calls: list[DecodedRequest], rows: int, finish: Finish
    ) -> None:
        """In a thread. What it cost is told in seconds on the clock, and of processor time."""
        start, used = monotonic(), thread_time()
        try:
            outcomes: Sequence[Outcome] = run(calls)
        except BaseException as error:  # ours, but the callers still wait and the lane is still taken
            outcomes = [as_serving_error(error)] * len(calls)
        self._tell(loop, rows, outcomes, monotonic() - start, thread_time() - used, finish)

    def _tell(
        self,
        loop: asyncio.AbstractEventLoop,
        rows: int,
        outcomes: Sequence[Outcome],
        seconds: float,
        used: float,
        finish: Finish,
    ) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            loop.call_soon_threadsafe(self._told, rows, outcomes, seconds, used, finish)

    def _told(self, rows: int, outcomes: Sequence[Outcome], seconds: float, used: float, finish: Finish) -> None:
        # a lane that may not be used says nothing about what it is worth
        self.lanes.finished(rows, seconds, monotonic(), self.saturated() and not self._leaves_a_core())
        self.cost.told(rows, min(seconds, used))
        self._over(rows, used)
        finish(outcomes)

    def _over(self, rows: int, used: float) -> None:
        self.running -= 1
        self.pace.told(rows, used)


#: rows of a call that are worth it
LARGE = 1000


class SplitCall:
    """One call of `parts` parts; `done` gets its outcome on the thread that ends last."""

    def __init__(self, caller: BatchCaller, call: DecodedRequest, parts: int, done: Callable[[Outcome], None]) -> None:
        ends = [call.rows * (i + 1) // parts for i in range(parts)]
        self._ranges = list(zip([0, *ends], ends, strict=False))
        self._caller = caller
        self._call = call
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
            executor.submit(self._part, i)

    def _part(self, i: int) -> None:
        start, end = self._ranges[i]
        call = self._call
        part = DecodedRequest(
            {name: array[start:end] for name, array in call.inputs.items()}, end - start, call.parameters
        )
        outputs = self._caller.attempt(part)
        with self._lock:
            if outputs is not None:
                self._outputs[i] = outputs
            self._left -= 1
            last = self._left == 0
        if last:
            self._done(self._whole())

    def _whole(self) -> Outcome:
        """The parts together; where one failed, the whole call again, whose error counts rows as the client does."""
        parts = [self._outputs[i] for i in sorted(self._outputs)]
        if len(parts) < len(self._ranges):
            return self._caller.run([self._call])[0]
        try:
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        except (ValueError, KeyError):  # parts of different shapes, as texts of different lengths give
            return self._caller.run([self._call])[0]
