"""A thread in which prompts are made, one after the other, and since when it is at one.

A chat template is a program of the model's own, and so are its tokenizer's patterns: there are some that take for ever
over a text. No thread can be ended from within its process. So it is told, and whoever looks on ends the process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: seconds that it may be at one, less than `call_timeout` is unless set; the longest that fit a model take a few
LONGEST = 45.0
#: ... after which it counts as waiting for that
_LONG = 1.0


class PromptThread:
    """Used on one event loop."""

    def __init__(self, name: str, doing: str) -> None:
        """`doing`: what it is that takes long, if anything does."""
        self._doing = doing
        self._thread = ThreadPoolExecutor(1, name)
        self._since: float | None = None  #: monotonic

    async def run(self, work: Callable[_P, _T], *given: _P.args, **named: _P.kwargs) -> _T:
        """What `work` gives, when its turn has come."""

        def timed() -> _T:
            self._since = time.monotonic()
            try:
                return work(*given, **named)
            finally:
                self._since = None

        return await asyncio.get_running_loop().run_in_executor(self._thread, timed)

    @property
    def seconds(self) -> float:
        """For which it has been at one."""
        return 0.0 if (since := self._since) is None else time.monotonic() - since

    @property
    def is_long(self) -> bool:
        """Whether that is longer than prompts usually take."""
        return self.seconds > _LONG

    @property
    def stuck(self) -> str:
        """What is to be said where that is longer than any may; else ""."""
        if (seconds := self.seconds) <= LONGEST:
            return ""
        return f"{self._doing} has been at one prompt for {seconds:.0f} s, and may be for {LONGEST:g} s"

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False)
