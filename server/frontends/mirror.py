"""The copies of a front process, and which of them answers for a name: what the routes ask for a repository."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from server.errors import NotReady
from server.inference.batching.queue import Limits
from server.inference.batching.threads import Executor
from server.inference.tensor_model import TensorModel
from server.loading.load_spec import LoadSpec
from server.repository.factory import ModelFactory
from server.runtime import memory
from server.telemetry.counters import ModelMetrics
from server.telemetry.metrics import CounterSnapshot


class CopyRepository:
    """Lives on the event loop, but for `load`."""

    def __init__(self, executor: Executor, limits: Limits, log_latency: bool) -> None:
        self._executor = executor
        self._factory = ModelFactory(executor, limits, log_latency)
        self._copies: dict[int, TensorModel] = {}
        self._routes: dict[str, dict[str | None, TensorModel]] = {}
        self._counts: dict[str, ModelMetrics] = {}

    def begin_stop(self) -> None:
        """The server has been told to stop: its main process says so to whoever asks, here nothing changes."""

    def load(self, recipe: LoadSpec) -> TensorModel:
        """Load a copy; blocks. It answers nobody yet.

        Raises:
            LoadError: it cannot be loaded, or is not what the main process has.
        """
        loaded = recipe.load()
        counts = self._counts.setdefault(recipe.name, ModelMetrics())
        model = self._factory.make(recipe.found, loaded, counts)
        assert isinstance(model, TensorModel)
        return model

    def put(self, number: int, model: TensorModel) -> None:
        """The copy is there."""
        self._copies[number] = model

    def route(self, name: str, routes: Iterable[tuple[str | None, int]]) -> None:
        """From now on these copies answer for the versions of a name, and nobody for others."""
        self._routes[name] = {version: self._copies[number] for version, number in routes}

    def drop(self, number: int, then: Callable[[], None]) -> None:
        """Close a copy once all who reached it are answered, and call `then`."""
        model, loop = self._copies.pop(number), asyncio.get_running_loop()

        model.retire(partial(self._clean, model, loop, then))

    def _clean(self, model: TensorModel, loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
        """The copy is closed: give its memory back, in a thread."""

        def clean() -> None:
            memory.give_back(model.born)
            loop.call_soon_threadsafe(then)

        self._executor.submit(clean)

    def takes_tensors(self, name: str, version: str | None) -> bool:
        """Whether a copy answers for the version (a number or a label; None: the name alone)."""
        routes = self._routes.get(name)
        return routes is not None and version in routes

    def tensor_model(self, name: str, version: str | None = None) -> TensorModel:
        """The copy that answers.

        Raises:
            NotReady: there is none; who asks has to look first.
        """
        model = self._routes.get(name, {}).get(version)
        if model is None:
            raise NotReady(f"model {name!r} is not in this process")
        return model

    async def ready(self, name: str, version: str | None = None) -> TensorModel:
        """`tensor_model`, as the routes ask it of a repository that may have to load models first."""
        return self.tensor_model(name, version)

    def counts(self) -> CounterSnapshot:
        """What was counted, by model."""
        return {name: counts.told() for name, counts in list(self._counts.items()) if counts.any}

    def waiting(self) -> dict[str, int]:
        """Requests in the queues, by model."""
        waiting: dict[str, int] = {}
        for model in self._copies.values():
            if model.waiting:
                waiting[model.name] = waiting.get(model.name, 0) + model.waiting
        return waiting
