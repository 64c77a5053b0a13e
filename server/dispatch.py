"""Where a call of the model runs: on the event loop, in a thread, or in parts on several threads.

short, and proved so (Pace)         on the event loop: handing it over would take longer
1,000 rows and more, others idle    dealt out to the idle cores (Spread)
everything else                     in a thread, as many at a time as pay (Lanes)
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, thread_time
from typing import TypeAlias

from server.calls import Caller, Outcome
from server.codec.call import Call
from server.errors import NotReady, as_serving_error
from server.lanes import Lanes
from server.pace import Pace
from server.spread import LARGE, Spread
from server.threads import Runs

#: takes the outcomes of a call, on the event loop
Finish: TypeAlias = Callable[[Sequence[Outcome]], None]


@dataclass(eq=False)
class Dispatcher:
    """Runs the calls of one model, and learns from each where the next should run."""

    caller: Caller
    executor: Runs
    lanes: Lanes
    steady: bool = False  #: how long a call takes depends on its inputs' shapes alone
    divisible: bool = False  #: rows are independent
    cores: Callable[[], int] = lambda: 1  #: threads that a large call may be dealt out to, now
    saturated: Callable[[], bool] = lambda: False  #: requests are waiting
    pace: Pace = field(init=False)
    running: int = 0

    def __post_init__(self) -> None:
        self.pace = Pace(self.steady)

    @property
    def free(self) -> bool:
        """Another call may begin."""
        return self.running < self.lanes.now

    def run(self, loop: asyncio.AbstractEventLoop, calls: list[Call], rows: int, finish: Finish) -> None:
        """Begin one call for all these requests; where it is short, it is over on return."""
        self.running += 1
        alone = self.running == 1
        if alone and self.pace.short(rows):
            used = thread_time()
            outcomes = self.caller.run(calls)
            self._over(rows, thread_time() - used)
            finish(outcomes)
        elif alone and self.divisible and rows >= LARGE and len(calls) == 1 and (cores := self.cores()) > 1:
            self._spread(loop, calls[0], cores, finish)
        else:
            self._submit(partial(self.executor.submit, self._work, loop, calls, rows, finish), len(calls), finish)

    def _spread(self, loop: asyncio.AbstractEventLoop, call: Call, parts: int, finish: Finish) -> None:
        start = monotonic()

        def done(outcome: Outcome) -> None:
            self._tell(loop, call.rows, [outcome], monotonic() - start, math.inf, finish)

        self._submit(partial(Spread(self.caller, call, parts, done).start, self.executor), 1, finish)

    def _submit(self, start: Callable[[], object], count: int, finish: Finish) -> None:
        try:
            start()
        except RuntimeError:  # the executor is shut down
            self.running -= 1
            finish([NotReady("the server is stopping")] * count)

    def _work(self, loop: asyncio.AbstractEventLoop, calls: list[Call], rows: int, finish: Finish) -> None:
        """In a thread. What it cost is told in seconds on the clock, and of processor time."""
        start, used = monotonic(), thread_time()
        try:
            outcomes: Sequence[Outcome] = self.caller.run(calls)
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
        def told() -> None:
            self.lanes.finished(rows, seconds, monotonic(), self.saturated())
            self._over(rows, used)
            finish(outcomes)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            loop.call_soon_threadsafe(told)

    def _over(self, rows: int, used: float) -> None:
        self.running -= 1
        self.pace.told(rows, used)
