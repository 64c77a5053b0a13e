"""Waiting in a queue from within a coroutine: for a place at a model that reads requests itself, or for a load."""

from __future__ import annotations

import asyncio
import math

from server.errors import ServingError
from server.inference.batching.queue import BoundedQueue, IsDisconnected, Waiter, into, never_disconnected


class Turn(Waiter[None]):
    """Waits in a coroutine until its turn has come: until it is resolved with None."""

    __slots__ = ("_future",)

    def __init__(self, is_disconnected: IsDisconnected = never_disconnected, deadline: float = math.inf) -> None:
        self._future: asyncio.Future[ServingError | None] = asyncio.get_running_loop().create_future()
        super().__init__(into(self._future), is_disconnected, deadline)

    @property
    def granted(self) -> bool:
        """It has come, even if whoever waited is cancelled before they hear of it."""
        return self._future.done() and not self._future.cancelled() and self._future.result() is None

    async def wait_in(self, queue: BoundedQueue[Turn]) -> None:
        """
        Raises:
            QueueFull, DeadlineExceeded, ClientGone, and whatever else the queue is closed or the turn resolved with.
        """
        queue.put(self)
        try:
            error = await self._future
        except asyncio.CancelledError:
            queue.discard(self)
            raise
        if error is not None:
            raise error
