"""How models share the turns of the event loop, while one is flooded and another is asked only a little.

A flooded model's callers get their answers together and come back together: some dozens of answers to be written, and
of bodies to be decoded, in one turn of the loop, each a part of a tenth of a millisecond. Here each model's share of a
turn is bounded; what is beyond it waits in the order in which it came, and the next turn goes round all models that
have something waiting. Whether that is called for is `policy.Traffic`'s to say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from server.inference.batching.merging import Outcome
from server.inference.batching.queue import QueuedRequest
from server.inference.batching.tuning import TUNING, Tuning


class DecodeTurns:
    """What is to be decoded, by model. Everything happens on the event loop."""

    def __init__(self, tuning: Tuning = TUNING) -> None:
        self._share = tuning.decoded_bytes_a_turn
        self._loop: asyncio.AbstractEventLoop | None = None
        self._spent: dict[int, int] = {}  #: bytes in this turn
        self.waiting: dict[int, deque[tuple[int, Callable[[], None]]]] = {}  #: bodies that are still to be decoded

    def soon(self, loop: asyncio.AbstractEventLoop, model: int, size: int, decode: Callable[[], None]) -> None:
        """Call `decode`, of `size` bytes for this model: now, or in one of the loop's next turns.

        A model is known by its identity: one that is unloaded must not be kept. `decode` must not raise.
        """
        if loop is not self._loop:  # the first in this turn; or of a new loop, and whoever waited has gone with the old
            self._loop, self._spent, self.waiting = loop, {}, {}
            loop.call_soon(self._turn, loop)
        if model in self.waiting:
            self.waiting[model].append((size, decode))
        elif self._spent.get(model, 0) < self._share:
            self._spent[model] = self._spent.get(model, 0) + size
            decode()
        else:
            self.waiting[model] = deque([(size, decode)])

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """A new turn has begun."""
        if loop is not self._loop:
            return
        if not self.waiting:
            self._loop = None  # until something comes
            return
        loop.call_soon(self._turn, loop)
        self._spent = {}
        for model, waiting in list(self.waiting.items()):
            while waiting and self._spent.get(model, 0) < self._share:
                size, decode = waiting.popleft()
                self._spent[model] = self._spent.get(model, 0) + size
                decode()
            if not waiting:
                del self.waiting[model]


def answer_in_turns(
    loop: asyncio.AbstractEventLoop,
    answers: Iterable[tuple[QueuedRequest, Outcome]],
    a_turn: int,
    then: Callable[[], None],
) -> None:
    """Tell the requests their outcomes, `a_turn` in each turn of the loop from this one on; then call `then`."""
    left = iter(answers)

    def answer_some() -> None:
        for count, (request, outcome) in enumerate(left, 1):
            request.resolve(outcome)
            if count == a_turn:
                loop.call_soon(answer_some)
                return
        then()

    answer_some()
