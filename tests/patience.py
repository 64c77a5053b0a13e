"""Waiting for what can be seen, on an event loop, for as long as that may take on a slow machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def becomes(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (nothing else tells)
            await asyncio.sleep(0.002)
