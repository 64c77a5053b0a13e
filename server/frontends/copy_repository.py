"""The copies of a front process, and which of them answers for a name: what the routes ask for a repository."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from server.errors import NotReady
from server.inference.batching.queue import Limits
from server.inference.batching.threads import Executor
from server.inference.model import ServedModel
from server.inference.taps import Tap
from server.loading.load_spec import LoadSpec
from server.repository.factory import ModelFactory
from server.runtime import memory
from server.telemetry.metrics import CounterSnapshot, MetricsByModel


class CopyRepository:
    """Lives on the event loop, but for `load`."""

    def __init__(
        self,
        executor: Executor,
        limits: Limits,
        log_latency: bool,
        taps: Sequence[Tap] = (),
        counts: MetricsByModel | None = None,
    ) -> None:
        """`taps` look on at answers; `counts` is where all is counted."""
        self._executor = executor
        self._factory = ModelFactory(executor, limits, log_latency, taps)
        self._copies: dict[int, ServedModel] = {}
        self._routes: dict[str, dict[str | None, ServedModel]] = {}
        self._counts = counts or MetricsByModel()

    def begin_stop(self) -> None:
        """The server has been told to stop: its main process says so to whoever asks, here nothing changes."""

    def load(self, spec: LoadSpec) -> ServedModel:
        """Load a copy; blocks. It answers nobody yet.

        Raises:
            LoadError: it cannot be loaded, or is not what the main process has.
        """
        loaded = spec.load()
        counts = self._counts.of(spec.name, spec.found.version)
        return self._factory.make(spec.found, loaded, counts)

    def put(self, number: int, model: ServedModel) -> None:
        """The copy is there."""
        self._copies[number] = model

    def route(self, name: str, routes: Iterable[tuple[str | None, int]]) -> None:
        """From now on these copies answer for the versions of a name, and nobody for others."""
        self._routes[name] = {version: self._copies[number] for version, number in routes}

    def drop(self, number: int, then: Callable[[], None]) -> None:
        """Close a copy once all who reached it are answered, and call `then`."""
        model, loop = self._copies.pop(number), asyncio.get_running_loop()

        model.retire(partial(self._reclaim, model, loop, then))

    def _reclaim(self, model: ServedModel, loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
        """The copy is closed: give its memory back, in a thread."""

        def reclaim() -> None:
            memory.give_back(model.born)
            loop.call_soon_threadsafe(then)

        self._executor.submit(reclaim)

    def answers_whole(self, name: str, version: str | None) -> bool:
        """Whether a copy answers for the version (a number or a label; None: the name alone)."""
        routes = self._routes.get(name)
        return routes is not None and version in routes

    def ready_model(self, name: str, version: str | None = None) -> ServedModel:
        """The copy that answers.

        Raises:
            NotReady: there is none; who asks has to look first.
        """
        model = self._routes.get(name, {}).get(version)
        if model is None:
            raise NotReady(f"model {name!r} is not in this process")
        return model

    async def ready(self, name: str, version: str | None = None) -> ServedModel:
        """`ready_model`, as the routes ask it of a repository that may have to load models first."""
        return self.ready_model(name, version)

    def counts(self) -> CounterSnapshot:
        """What was counted."""
        return self._counts.snapshot(asked=True)

    def waiting(self) -> dict[str, int]:
        """Requests in the queues, by model."""
        waiting: dict[str, int] = {}
        for model in self._copies.values():
            if model.waiting:
                waiting[model.name] = waiting.get(model.name, 0) + model.waiting
        return waiting

    def in_flight(self) -> dict[str, int]:
        """Requests under way, by model."""
        found: dict[str, int] = {}
        for model in self._copies.values():
            if model.in_flight.count:
                found[model.name] = found.get(model.name, 0) + model.in_flight.count
        return found
