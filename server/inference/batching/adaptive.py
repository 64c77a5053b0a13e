"""How many calls of one model run at the same time: learned from the model's own timings.

Calls under a millisecond get slower on two threads (the GIL changes hands too often), frameworks that hold the GIL gain
nothing, and those that release it in heavy calls gain almost a core for every lane. Nobody can tell from outside which
a model is, so a model that is kept busy is measured with one lane more, and keeps it where rows per second rise.

Which calls of a model are short enough to run on the event loop itself.

To hand a call to a thread and its answer back takes longer than the arithmetic of a small model, and while both
threads want the interpreter each waits for the other. So calls begin in threads; those of a steady model (how long a
call takes depends on the shapes of its inputs alone) move to the event loop once calls of their size have proved
short, and back as soon as one is not.

Calls that cost much whatever they hold are made worth it: they wait for the requests that are on their way already.

A call of a spaCy pipeline takes 2 ms for one text and 5 ms for sixteen. Callers whose answers went out together come
back one after the other, within a millisecond; a queue that is looked at in every turn of the event loop would give the
model two texts, then fourteen, then two. So where the part of a call that does not depend on its rows is long
    * a call waits until a turn of the loop brings nothing new: microseconds when nobody else comes, and never longer
      than it saves;
    * a call begins beside another, in a thread or a process of its own, only with enough rows (`enough`);
    * free lanes share what waits, if there are enough rows for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

#: calls, and seconds, that a measurement takes at least
WINDOW_CALLS = 8
WINDOW_SECONDS = 0.25
#: seconds that a call must take for another lane to be worth a try
HEAVY = 0.001
#: by which rows per second must rise for another lane to stay
GAIN = 1.2
#: seconds until a refused lane is tried again; doubled with every refusal up to the limit
RETRY, RETRY_LIMIT = 5.0, 300.0


@dataclass
class ConcurrencyLimit:
    """Counts finished calls while requests wait, and says how many may run (`now`)."""

    most: int
    now: int = 1
    _rate: float = 0.0  #: rows per second at one lane less, while a lane is on trial
    _retry_at: float = 0.0
    _retry: float = RETRY
    _rows: int = 0
    _calls: int = 0
    _busy: float = field(default=0.0)  #: seconds that calls took, added up
    _since: float = 0.0

    def finished(self, rows: int, seconds: float, clock: float, saturated: bool) -> None:
        """A call of `rows` rows took `seconds`; `saturated`: requests were waiting when it ended (at `clock`)."""
        if self.most == 1:
            return
        if not saturated:  # an idle moment says nothing about how fast the model could go
            self._restart(clock)
            return
        self._rows += rows
        self._calls += 1
        self._busy += seconds
        if self._calls >= WINDOW_CALLS and clock - self._since >= WINDOW_SECONDS:
            self._decide(self._rows / (clock - self._since), self._busy / self._calls, clock)
            self._restart(clock)

    def _decide(self, rate: float, call_seconds: float, clock: float) -> None:
        if self._rate:  # a lane is on trial
            if rate < self._rate * GAIN:
                self.now -= 1
                self._retry_at = clock + self._retry
                self._retry = min(self._retry * 2, RETRY_LIMIT)
            else:
                self._retry = RETRY
            self._rate = 0.0
        elif self.now < self.most and call_seconds >= HEAVY and clock >= self._retry_at:
            self._rate = rate
            self.now += 1

    def _restart(self, clock: float) -> None:
        self._rows = self._calls = 0
        self._busy = 0.0
        self._since = clock


#: seconds that a call on the event loop may take: by so much every other connection waits longer
SHORT = 0.0005
#: calls in a row that prove it
PROOF = 8
_SIZES = 64  #: calls are told apart by the bits of their number of rows


@dataclass
class InlinePolicy:
    """Learns from every call's rows and seconds of processor time: waiting for a core is not the call's fault."""

    steady: bool = False
    _good: int = 0  #: bits of the largest number of rows that is proved
    _streaks: list[int] = field(default_factory=lambda: [0] * _SIZES)

    def short(self, rows: int) -> bool:
        """Whether a call of so many rows may run on the event loop."""
        return rows.bit_length() <= self._good

    def told(self, rows: int, seconds: float) -> None:
        """A call of so many rows took so long."""
        if not self.steady:
            return
        size = min(rows.bit_length(), _SIZES - 1)
        if seconds <= SHORT:
            self._streaks[size] += 1
            if self._streaks[size] == PROOF:
                self._good = max(self._good, size)
        else:
            self._streaks[size:] = [0] * (_SIZES - size)
            proved = [bits for bits in range(size) if self._streaks[bits] >= PROOF]
            self._good = max(proved, default=0)


#: seconds of a call's fixed part from which this pays: an empty turn of the event loop takes some 10 µs
LEAST = 0.001
#: what is left of a call's weight when the next one is told: the latest fifty count
_KEPT = 0.98
#: standard deviation of the calls' rows, over their mean, from which a line through them says something
_SPREAD = 0.1


@dataclass
class CallCost:
    """What a call takes: so much whatever it holds, and so much a row. A line through the latest calls."""

    fixed: float = 0.0  #: seconds
    row: float = 0.0  #: seconds
    _weight: float = 0.0
    _rows: float = 0.0
    _seconds: float = 0.0
    _squares: float = 0.0
    _products: float = 0.0

    def told(self, rows: int, seconds: float) -> None:
        """A call of so many rows took so long."""
        self._weight = self._weight * _KEPT + 1
        self._rows = self._rows * _KEPT + rows
        self._seconds = self._seconds * _KEPT + seconds
        self._squares = self._squares * _KEPT + rows * rows
        self._products = self._products * _KEPT + rows * seconds
        mean, mean_seconds = self._rows / self._weight, self._seconds / self._weight
        variance = self._squares / self._weight - mean**2
        if variance > (_SPREAD * mean) ** 2:
            slope = (self._products / self._weight - mean * mean_seconds) / variance
            self.row = min(max(slope, 0.0), mean_seconds / mean)
        self.fixed = max(mean_seconds - self.row * mean, 0.0)


@dataclass
class Coalescing:
    """When a call of a model whose rows can be merged begins, and with how many of the rows that wait."""

    most: int  #: rows of a call, at most
    cost: CallCost
    _seen: int = 0  #: requests that waited a turn ago
    _until: float = 0.0

    @property
    def pays(self) -> bool:
        """Calls are worth being few."""
        return self.cost.fixed >= LEAST

    @property
    def enough(self) -> int:
        """Rows that take as long as the fixed part of their call, at most as many as a call may have."""
        return math.ceil(min(self.cost.fixed / self.cost.row, self.most)) if self.cost.row else self.most

    def waits(self, waiting: int, now: float) -> bool:
        """So many requests wait, in this turn of the event loop: whether to see first what the next one brings."""
        if not self._seen:
            self._until = now + self.cost.fixed
        more = self.pays and self._seen < waiting < self.most and now < self._until
        self._seen = waiting if more else 0
        return more

    def share(self, rows: int, lanes: int) -> int:
        """Rows of the next call when so many wait for so many free lanes."""
        used = max(1, min(lanes, rows // self.enough))
        return min(self.most, math.ceil(rows / used))
