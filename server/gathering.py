"""Calls that cost much whatever they hold are made worth it: they wait for the requests that are on their way already.

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
from dataclasses import dataclass

#: seconds of a call's fixed part from which this pays: an empty turn of the event loop takes some 10 µs
LEAST = 0.001
#: what is left of a call's weight when the next one is told: the latest fifty count
_KEPT = 0.98
#: standard deviation of the calls' rows, over their mean, from which a line through them says something
_SPREAD = 0.1


@dataclass
class Cost:
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
class Gathering:
    """When a call of a model whose rows can be merged begins, and with how many of the rows that wait."""

    most: int  #: rows of a call, at most
    cost: Cost
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
