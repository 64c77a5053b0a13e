"""What is learned from the timings of the calls that do not run on the event loop.

How many calls of one model run at the same time (`ConcurrencyLimit`). Calls under a millisecond get slower on two
threads (the GIL changes hands too often), frameworks that hold the GIL gain nothing, and those that release it in heavy
calls gain almost a core for every call more. Nobody can tell from outside which a model is, so a model that is kept
busy is measured with one call more at a time, and keeps it where rows per second rise.

When calls that cost much whatever they hold are worth it (`CallCost`, `Coalescing`): they wait for the requests that
are on their way already. A call of a spaCy pipeline takes 2 ms for one text and 5 ms for sixteen. Callers whose answers
went out together come back one after the other, within a millisecond; a queue that is looked at in every turn of the
event loop would give the model two texts, then fourteen, then two. So where the part of a call that does not depend on
its rows is long
    * a call waits until a turn of the loop brings nothing new: microseconds when nobody else comes, and never longer
      than it saves;
    * a call begins beside another, in a thread or a process of its own, only with enough rows (`enough`);
    * calls that begin together share what waits, if there are enough rows for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from server.inference.batching.tuning import TUNING, Tuning


@dataclass
class ConcurrencyLimit:
    """Counts finished calls while requests wait, and says how many may run (`now`)."""

    most: int
    now: int = 1
    tuning: Tuning = TUNING
    _rate: float = 0.0  #: rows per second at one call less, while one more at a time is on trial
    _retry_at: float = 0.0
    _retry: float = field(init=False)
    _rows: int = 0
    _calls: int = 0
    _busy: float = 0.0  #: seconds that calls took, added up
    _since: float = 0.0

    def __post_init__(self) -> None:
        self._retry = self.tuning.concurrency_retry_seconds

    def observe(self, rows: int, seconds: float, clock: float, saturated: bool) -> None:
        """A call of `rows` rows took `seconds`; `saturated`: requests were waiting when it ended (at `clock`)."""
        if self.most == 1:
            return
        if not saturated:  # an idle moment says nothing about how fast the model could go
            self._restart(clock)
            return
        self._rows += rows
        self._calls += 1
        self._busy += seconds
        window = clock - self._since
        if self._calls >= self.tuning.concurrency_window_calls and window >= self.tuning.concurrency_window_seconds:
            self._decide(self._rows / window, self._busy / self._calls, clock)
            self._restart(clock)

    def _decide(self, rate: float, call_seconds: float, clock: float) -> None:
        tuning = self.tuning
        if self._rate:  # one more is on trial
            if rate < self._rate * tuning.concurrency_gain:
                self.now -= 1
                self._retry_at = clock + self._retry
                self._retry = min(self._retry * 2, tuning.concurrency_retry_limit_seconds)
            else:
                self._retry = tuning.concurrency_retry_seconds
            self._rate = 0.0
        elif self.now < self.most and call_seconds >= tuning.concurrency_call_seconds and clock >= self._retry_at:
            self._rate = rate
            self.now += 1

    def _restart(self, clock: float) -> None:
        self._rows = self._calls = 0
        self._busy = 0.0
        self._since = clock


@dataclass
class CallCost:
    """What a call takes: so much whatever it holds, and so much a row. A line through the latest calls."""

    fixed: float = 0.0  #: seconds
    row: float = 0.0  #: seconds
    tuning: Tuning = TUNING
    _weight: float = 0.0
    _rows: float = 0.0
    _seconds: float = 0.0
    _squares: float = 0.0
    _products: float = 0.0

    def observe(self, rows: int, seconds: float) -> None:
        """A call of so many rows took so long."""
        kept = self.tuning.cost_decay
        self._weight = self._weight * kept + 1
        self._rows = self._rows * kept + rows
        self._seconds = self._seconds * kept + seconds
        self._squares = self._squares * kept + rows * rows
        self._products = self._products * kept + rows * seconds
        mean, mean_seconds = self._rows / self._weight, self._seconds / self._weight
        variance = self._squares / self._weight - mean**2
        if variance > (self.tuning.cost_min_spread * mean) ** 2:
            slope = (self._products / self._weight - mean * mean_seconds) / variance
            self.row = min(max(slope, 0.0), mean_seconds / mean)
        self.fixed = max(mean_seconds - self.row * mean, 0.0)


@dataclass
class Coalescing:
    """When a call begins that costs much whatever it holds, and with how many of the rows that wait."""

    max_rows: int  #: of a call
    cost: CallCost
    _seen: int = 0  #: requests that waited a turn ago
    _until: float = 0.0

    @property
    def enough(self) -> int:
        """Rows that take as long as the fixed part of their call, at most as many as a call may have."""
        return math.ceil(min(self.cost.fixed / self.cost.row, self.max_rows)) if self.cost.row else self.max_rows

    def waits(self, waiting: int, now: float) -> bool:
        """So many requests wait, in this turn of the event loop: whether to see first what the next one brings."""
        if not self._seen:
            self._until = now + self.cost.fixed
        more = self._seen < waiting < self.max_rows and now < self._until
        self._seen = waiting if more else 0
        return more

    def share(self, rows: int, calls: int) -> int:
        """Rows of the next call when so many wait, and so many calls may begin."""
        used = max(1, min(calls, rows // self.enough))
        return min(self.max_rows, math.ceil(rows / used))
