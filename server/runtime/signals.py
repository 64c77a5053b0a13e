"""What SIGTERM and SIGINT do: the first asks the server to stop, a second one ends it at once.

Set up before anything heavy is imported: as the first process of a container, Python would ignore SIGTERM.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """The handler of both."""

    def __init__(self) -> None:
        self._came = False
        self._stop: Callable[[str], None] | None = None

    def install(self) -> None:
        """Handle them from now on; in the main thread only. One that was held comes now."""
        for number in STOP:
            signal.signal(number, self.handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)

    @contextmanager
    def held(self) -> Iterator[None]:
        """One that comes meanwhile comes after it; where this process starts anew meanwhile, once that installs them.

        Else it would end, or as the first process of a container not even reach, what has no handlers yet.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)

    def first(self, stop: Callable[[str], None]) -> None:
        """Call `stop` with the first signal's name; until then it ends the process: there is nobody to be answered."""
        self._stop = stop

    def handle(self, number: int, frame: FrameType | None) -> None:
        """A signal has come. Children end with this process: each is tied to it."""
        if self._came:
            os._exit(128 + number)
        self._came = True
        if self._stop is None:
            os._exit(0)
        self._stop(signal.Signals(number).name)
