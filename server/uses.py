"""Who is still at a model: it is closed when the last request that reached it is answered, and not before."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter


class Uses:
    """Requests under way. Everything happens on the event loop."""

    __slots__ = ("_then", "count", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last = perf_counter()  #: when a request was answered last, or the model came: who evicts others asks
        self._then: Callable[[], None] | None = None

    def begin(self) -> None:
        """A request has reached the model."""
        self.count += 1

    def end(self) -> None:
        """It is answered, or nobody waits for it any more."""
        self.count -= 1
        if not self.count and self._then is not None:
            then, self._then = self._then, None
            then()

    def when_none(self, then: Callable[[], None]) -> None:
        """Call `then` once nobody uses the model, which may be now. Whoever asks sees to it that nobody comes anew."""
        if self.count:
            self._then = then
        else:
            then()
