"""Models whose size nobody knows while something loads them to find out: several at once where guesses fit.

What the guesses leave of the budget is for the others. Only the largest may come on top of it, as one model may that is
tried alone: because its guess is too large for what is free, or because there is none.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

#: a model in memory, with what its load leaves lying about, beside its files: compressed ones are larger still
_TIMES = 4
_LEAST = 8 * 2**20  #: bytes; a load imports one module or another


def guess(files: int) -> int:
    """The most that a model should take whose files have so many bytes."""
    return max(_LEAST, _TIMES * files)


@dataclass(eq=False)
class UnknownSizes:
    """Who is being tried. Everything waits on `changed`, the budget's own."""

    changed: threading.Condition
    free: Callable[[], int]  #: bytes of the budget that no claim holds
    limit: int
    _guesses: list[int] = field(default_factory=list)
    _asked: int = 0  #: how many wait for reservations to end
    _gate: threading.Lock = field(default_factory=threading.Lock)  #: first come, first tried: large ones come, too

    @property
    def reserved(self) -> int:
        """Bytes that have to stay free: all but the largest guess."""
        return sum(self._guesses) - max(self._guesses, default=0)

    @contextlib.contextmanager
    def trying(self, size: int | None) -> Iterator[None]:
        """While a model is loaded that takes `size` bytes at most, or nobody knows how many; waits for its turn."""
        guess = self.limit + 1 if size is None else size
        with self._gate, self.changed:
            self.changed.wait_for(lambda: not self._guesses or self._joins(guess))
            self._guesses.append(guess)
        try:
            yield
        finally:
            with self.changed:
                self._guesses.remove(guess)
                self.changed.notify_all()

    def wait(self) -> None:
        """Until somebody is through. Nobody joins meanwhile, so that who waits will have what is reserved."""
        self._asked += 1
        try:
            self.changed.wait()
        finally:
            self._asked -= 1

    def _joins(self, guess: int) -> bool:
        return not self._asked and sum(self._guesses) + guess <= self.free()
