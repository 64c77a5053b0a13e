"""Models that are not in memory come when they are asked for: one load each, however many wait.

request --> Repository.ready --> in memory: at once
                             `--> NotLoaded --> OnDemandLoader --> one load in a thread <-- everybody else who asks
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from server.errors import NotReady, ServingError, as_serving_error
from server.inference.batching.queue import BoundedQueue, Limits
from server.inference.batching.turn import Turn
from server.loading.catalog import Found
from server.loading.memory_budget import ModelKey

log = logging.getLogger("kserve")

T_co = TypeVar("T_co", covariant=True)


class NotLoaded(NotReady):
    """The model is not in memory: who can wait may have it loaded."""

    retry_after = 1

    def __init__(self, message: str, found: Found) -> None:
        super().__init__(message)
        self.found = found


class NoMemory(NotReady):
    """The model cannot be brought back now: the memory budget is full."""

    retry_after = 1


class Ready(Protocol[T_co]):
    """Looks a model up."""

    def __call__(self, name: str, version: str | None) -> T_co:
        """
        Raises:
            NotFound, NotReady, NotLoaded.
        """


@dataclass(eq=False)
class OnDemandLoader(Generic[T_co]):
    """Lives on the event loop; `bring` loads a model and blocks, `ready` looks it up."""

    ready: Ready[T_co]
    bring: Callable[[Found], None]
    limits: Limits
    executor: Executor
    when_quiet: Callable[[], None] = lambda: None  #: the last load under way is through
    _loads: dict[ModelKey, BoundedQueue[Turn]] = field(default_factory=dict)  #: under way, with who waits for each

    def awaited(self, key: ModelKey) -> bool:
        """Whether somebody waits for the model: it should not go before it has answered."""
        return key in self._loads

    async def model(self, name: str, version: str | None) -> T_co:
        """The model, in memory.

        Raises:
            NotFound, NotReady: it cannot be loaded, with the reason.
            NoMemory: ... as there is no room for it.
            QueueFull, DeadlineExceeded: too many wait for it, or waited too long.
        """
        deadline = asyncio.get_running_loop().time() + self.limits.timeout
        while True:
            try:
                return self.ready(name, version)
            except NotLoaded as error:
                queue = self._loads.get(error.found.key)
                if queue is None:  # one that is empty is no reason: whoever waited has left, and the load goes on
                    queue = self._begin(error.found)
            await Turn(deadline=deadline).wait_in(queue)

    def _begin(self, found: Found) -> BoundedQueue[Turn]:
        load = asyncio.get_running_loop().run_in_executor(self.executor, self.bring, found)
        queue = self._loads[found.key] = BoundedQueue(found.name, self.limits)
        load.add_done_callback(partial(self._ended, found, queue))
        return queue

    def _ended(self, found: Found, queue: BoundedQueue[Turn], load: asyncio.Future[None]) -> None:
        """Whoever waits looks again; where the load failed, they are told why."""
        del self._loads[found.key]
        error = NotReady("the server is stopping") if load.cancelled() else load.exception()
        if error is not None and not isinstance(error, ServingError):
            log.error("model %s could not be loaded when it was asked for", found.name, exc_info=error)
        queue.resolve_all(as_serving_error(error) if error is not None else None)
        if not self._loads:
            self.when_quiet()
