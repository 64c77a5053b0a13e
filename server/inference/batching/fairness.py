"""Who is asked at the same time, and what a turn of the event loop may hold then.

A model alone may keep the loop for as long as it likes: all of a turn's bodies are decoded, all answers of a call are
written at once, and that is the fastest. While several are asked, none may keep it for long. And while one of them is
asked only a little, so that its callers wait for nothing but the others, the others' turns are as short as they can be,
and their threads leave one core (`dispatch`); models that are all flooded would only get slower by that.

Bodies are decoded in turns while others wait for the event loop, so that no model keeps it with what it is sent.

A flooded model's callers get their answers together and come back together: some dozens of bodies in one turn of the
loop, each a tenth of a millisecond of parsing. Here each model's share of a turn is bounded; what is beyond it waits in
the order in which it came, and the next turn goes round all models that have something waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

#: seconds after the last change of the model that was asked until one counts as being alone
LATELY = 1.0
#: answers that a model writes in one turn of the event loop while others are asked, too: some 20 µs each
AT_ONCE = 8
#: the same while another is asked only a little
AT_ONCE_BESIDE_FEW = 2
#: requests of a model that wait when one more comes, at most, and for how many in a row, so that it is asked a little
FEW, IN_A_ROW = 4, 16


#: bytes of bodies of one model that are decoded in one turn; one that reaches beyond them is the last: some 50 µs
SHARE = 2 * 1024


class DecodeTurns:
    """What is to be decoded, by model. Everything happens on the event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._spent: dict[int, int] = {}  #: bytes in this turn
        self._waiting: dict[int, deque[tuple[int, Callable[[], None]]]] = {}

    def waiting(self, model: int) -> int:
        """Bodies of this model that are still to be decoded."""
        waiting = self._waiting.get(model)
        return len(waiting) if waiting else 0

    def soon(self, loop: asyncio.AbstractEventLoop, model: int, size: int, decode: Callable[[], None]) -> None:
        """Call `decode`, of `size` bytes for this model: now, or in one of the loop's next turns.

        A model is known by its identity: one that is unloaded must not be kept. `decode` must not raise.
        """
        if loop is not self._loop:  # the first in this turn; or of a new loop, and whoever waited has gone with the old
            self._loop, self._spent, self._waiting = loop, {}, {}
            loop.call_soon(self._turn, loop)
        if model in self._waiting:
            self._waiting[model].append((size, decode))
        elif self._spent.get(model, 0) < SHARE:
            self._spent[model] = self._spent.get(model, 0) + size
            decode()
        else:
            self._waiting[model] = deque([(size, decode)])

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """A new turn has begun."""
        if loop is not self._loop:
            return
        if not self._waiting:
            self._loop = None  # until something comes
            return
        loop.call_soon(self._turn, loop)
        self._spent = {}
        for model, waiting in list(self._waiting.items()):
            while waiting and self._spent.get(model, 0) < SHARE:
                size, decode = waiting.popleft()
                self._spent[model] = self._spent.get(model, 0) + size
                decode()
            if not waiting:
                del self._waiting[model]


@dataclass(eq=False)
class Fairness:
    """Told of every request. Models are known by their identities: one that is unloaded must not be kept."""

    reading: DecodeTurns = field(default_factory=DecodeTurns)
    _latest: int = 0
    _changed: float = -LATELY
    _little: int = 0  #: the model that was asked a little last, and when
    _little_at: float = -LATELY
    _little_before: float = -LATELY  #: when another one than that was

    def asked(self, model: int, now: float) -> None:
        """A request for this model has come."""
        if model != self._latest:
            self._latest, self._changed = model, now

    def asked_little(self, model: int, now: float) -> None:
        """A request for this model has come, and as before hardly any of its others waited."""
        if model != self._little:
            self._little, self._little_before = model, self._little_at
        self._little_at = now

    def shared(self, now: float) -> bool:
        """Several models are asked."""
        return now - self._changed < LATELY

    def beside_few(self, model: int, now: float) -> bool:
        """Another model is asked, and only a little."""
        return now - (self._little_before if model == self._little else self._little_at) < LATELY

    def at_once(self, model: int, now: float) -> int:
        """Answers that this model may write in one turn; 0: all."""
        if not self.shared(now):
            return 0
        return AT_ONCE_BESIDE_FEW if self.beside_few(model, now) else AT_ONCE


#: of the server's event loop
FAIRNESS = Fairness()
