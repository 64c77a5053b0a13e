"""Busy polling: after an answer the event loop looks for the next request for a while before it sleeps.

A core of a virtual machine that has nothing to do is taken away by its host: to be woken takes tens of microseconds,
and what was in its caches is gone. Where requests come one after another, that is a quarter of their time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from time import perf_counter


class BusyPoll:
    """Of one event loop, and lives on it."""

    def __init__(self, seconds: float = 0.0, clock: Callable[[], float] = perf_counter) -> None:
        """`seconds` after the last answer the loop may sleep; 0: at once."""
        self._seconds = seconds
        self._clock = clock
        self._until = -math.inf
        self.is_polling = False  #: the loop does not sleep

    def answered(self, loop: asyncio.AbstractEventLoop) -> None:
        """An answer has been written."""
        if self._seconds:
            self._until = self._clock() + self._seconds
            if not self.is_polling:
                self.is_polling = True
                loop.call_soon(self._poll, loop)

    def _poll(self, loop: asyncio.AbstractEventLoop) -> None:
        """One turn of the loop, which does not sleep as long as something is to be done in the next one."""
        if self._clock() < self._until:
            loop.call_soon(self._poll, loop)
        else:
            self.is_polling = False
