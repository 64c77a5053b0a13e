"""How many calls of one model run at the same time: learned from the model's own timings.

Calls under a millisecond get slower on two threads (the GIL changes hands too often), frameworks that hold the GIL gain
nothing, and those that release it in heavy calls gain almost a core for every lane. Nobody can tell from outside which
a model is, so a model that is kept busy is measured with one lane more, and keeps it where rows per second rise.
"""

from __future__ import annotations

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
class Lanes:
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
