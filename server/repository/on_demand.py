"""Models that are not in memory come when they are asked for: one load each, however many wait.

request --> Repository.ready --> in memory: at once
                             `--> Asleep --> Waking --> one load in a thread <-- everybody else who asks for it
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from server.errors import DeadlineExceeded, NotReady, QueueFull
from server.inference.batching.queue import Limits
from server.loading.catalog import Found
from server.loading.memory_budget import ModelKey

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
            NotFound, NotReady, Asleep.
        """


@dataclass(eq=False)
class _Flight:
    """One load under way."""

    load: asyncio.Future[None]
    waiting: int = 0


@dataclass(eq=False)
class OnDemandLoader(Generic[T_co]):
    """Lives on the event loop; `bring` loads a model and blocks, `ready` looks it up."""

    ready: Ready[T_co]
    bring: Callable[[Found], None]
    limits: Limits
    executor: Executor
    when_quiet: Callable[[], None] = lambda: None  #: the last load under way is through
    _flights: dict[ModelKey, _Flight] = field(default_factory=dict)

    def awaited(self, key: ModelKey) -> bool:
        """Whether somebody waits for the model: it should not go before it has answered."""
        return key in self._flights

    async def model(self, name: str, version: str | None) -> T_co:
        """The model, in memory.

        Raises:
            NotFound, NotReady: it cannot be loaded, with the reason.
            NoMemory: ... as there is no room for it.
            QueueFull, DeadlineExceeded: too many wait for it, or waited too long.
        """
        until = asyncio.get_running_loop().time() + self.limits.timeout
        while True:
            try:
                return self.ready(name, version)
            except NotLoaded as asleep:
                await self._loaded(asleep.found, until)

    async def _loaded(self, found: Found, until: float) -> None:
        flight = self._flights.get(found.key) or self._begin(found)
        if flight.waiting >= self.limits.max_queue:
            count = flight.waiting
            raise QueueFull(f"{count} requests wait for {found.name} to be loaded (limit max_queue): try again later")
        flight.waiting += 1
        try:
            async with asyncio.timeout_at(until):
                await asyncio.shield(flight.load)
        except TimeoutError as error:
            waited = f"{self.limits.timeout:g} s"
            raise DeadlineExceeded(f"model {found.name!r} is still being loaded after {waited}") from error
        finally:
            flight.waiting -= 1

    def _begin(self, found: Found) -> _Flight:
        load = asyncio.get_running_loop().run_in_executor(self.executor, self.bring, found)
        flight = self._flights[found.key] = _Flight(load)
        load.add_done_callback(lambda _: self._landed(found.key, load))
        return flight

    def _landed(self, key: ModelKey, load: asyncio.Future[None]) -> None:
        del self._flights[key]
        if not load.cancelled():
            load.exception()  # whoever waited has been told; perhaps nobody did
        if not self._flights:
            self.when_quiet()
