"""Waiting for what can be seen, for as long as that may take on a slow machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], what: str = "the condition", seconds: float = 240) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


async def becomes(condition: Callable[[], object], seconds: float = 240) -> None:
    """The same on an event loop."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (nothing else tells)
            await asyncio.sleep(0.002)
