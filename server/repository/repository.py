"""Every directory with its state and reason: what the index, readiness and the routes ask.

A `kserve.ModelRepository`. How models come and go is in the layers below it, each in a file of its own:

    Repository                  looks models up, tells states and readiness
    Loading    (loading.py)     brings models: first scan, load, load again; serving.py makes them take requests
    Unloading  (unloading.py)   lets them go: unload, forget, evict, replace
    Shelves    (shelves.py)     holds the entries, and changes them under its lock

A model that was evicted to make room (evicting.py) comes back when a request is for it: all who ask wait for one load
(waking.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from kserve import ModelRepository

from server.errors import NotFound, NotReady
from server.inference.batching.queue import Limits
from server.inference.batching.threads import Executor
from server.inference.model import ServedModel
from server.loading.catalog import Catalog, Found
from server.loading.loader import Loader
from server.repository.eviction import Evictor
from server.repository.lifecycle import Loading
from server.repository.on_demand import NotLoaded, OnDemandLoader
from server.repository.state import ModelState, State
from server.telemetry.metrics import Metrics
from server.workers.adapter import pool_of

__all__ = ["ModelState", "Repository", "ServedModel", "State"]


class Repository(Loading, ModelRepository):
    """The models of one mount, and those of stores."""

    def __init__(
        self,
        catalog: Catalog,
        loader: Loader,
        executor: Executor,
        limits: Limits,
        ready_rule: str,
        rescan: Callable[[], Catalog] | None = None,
    ) -> None:
        """`rescan` looks at the mount again; without it only what the catalog holds is ever served."""
        self.stopping = False  #: the server has been told to stop
        self._catalog = catalog
        self._ready_rule = ready_rule
        self._waking: OnDemandLoader[ServedModel] = OnDemandLoader(
            self.ready_model, self._bring, limits, ThreadPoolExecutor(2, "wake")
        )
        tenants = Evictor(loader.budget, self._entries, self._take_out, self._waking.awaited, self._evicted)
        metrics = Metrics(self._states, self._memory, loader.budget.limit)
        ModelRepository.__init__(self)
        Loading.__init__(self, metrics, tenants, loader, executor, limits, rescan or (lambda: catalog))
        loader.budget.house = tenants  # the loader may be at work already, and ask who could make room
        for found in catalog.found:
            self._put(ModelState(found, reason="waiting to be loaded"))

    # who answers a request

    def get_model(self, name: str) -> ServedModel | None:
        """The model if it is ready.

        Raises:
            NotReady: it is known but not ready; the message holds the reason.
        """
        model = self.serving.get(name)
        if model is None:
            shelf = self.shelves.get(name)
            return None if shelf is None else self._checked(name, shelf.newest)
        pool = pool_of(model.adapter)
        if pool is not None:
            pool.check()
        return model

    def ready_model(self, name: str, version: str | None = None) -> ServedModel:
        """The model, ready to predict; `version` is a number or a label, None asks for the newest that is ready.

        Raises:
            NotFound, NotReady.
        """
        if version is None:
            model = self.get_model(name)
            if model is None:
                raise NotFound(f"model {name!r} does not exist")
            return model
        return self._checked(name, self._known(name, version))

    async def ready(self, name: str, version: str | None = None) -> ServedModel:
        """As `ready_model`, but a model that is not in memory is brought back.

        Raises:
            NotFound, NotReady.
            QueueFull, DeadlineExceeded: too many wait for it, or waited too long.
        """
        try:
            return self.ready_model(name, version)
        except NotLoaded:
            return await self._waking.model(name, version)

    def is_asleep(self, name: str, version: str | None = None) -> bool:
        """Whether requests have to wait until the model is loaded."""
        entry = self._find(name, version)
        return entry is not None and entry.model is None and entry.available

    def answers_whole(self, name: str, version: str | None) -> bool:
        """Whether what answers for the name now answers whole, never in parts."""
        model = self.serving.get(name)
        return model is not None and model.answers_whole

    def reads_events(self, name: str) -> bool:
        """Whether the model decodes CloudEvents itself."""
        model = self.serving.get(name)
        return model is not None and model.reads_events

    def get_models(self) -> dict[str, ServedModel | None]:
        """Every model by name, with what serves it."""
        return {name: self.serving.get(name) for name in self.shelves}

    def _find(self, name: str, version: str | None) -> ModelState | None:
        shelf = self.shelves.get(name)
        if shelf is None:
            return None
        return shelf.newest if version is None else shelf.of(version)

    def _known(self, name: str, version: str | None) -> ModelState:
        shelf = self.shelves.get(name)
        if shelf is None:
            raise NotFound(f"model {name!r} does not exist")
        entry = shelf.newest if version is None else shelf.of(version)
        if entry is None:
            held = ", ".join([*filter(None, shelf.entries), *shelf.labels])
            raise NotFound(f"model {name!r} has no version {version!r}{held and f'; it has {held}'}")
        return entry

    def _checked(self, name: str, entry: ModelState) -> ServedModel:
        if entry.model is None:
            of = f" version {entry.found.version}" if entry.found.version else ""
            why = f"model {name!r}{of} is not ready: {entry.now[1] or entry.state.lower()}"
            raise NotLoaded(why, entry.found) if entry.available else NotReady(why)
        pool = pool_of(entry.model.adapter)
        if pool is not None:
            pool.check()
        return entry.model

    # what the index, readiness and the probes tell

    async def is_model_ready(self, name: str) -> bool:
        return self.is_ready(name)

    def is_ready(self, name: str, version: str | None = None) -> bool:
        """Whether a request for it would reach a model."""
        entry = self._find(name, version)
        return entry is not None and entry.now[0] in (State.READY, State.EVICTED)

    def check_known(self, name: str, version: str | None = None) -> None:
        """
        Raises:
            NotFound: there is no such model, or it has no such version.
        """
        self._known(name, version)

    def versions(self, name: str) -> list[str]:
        """The versions that are ready, or will be when a request comes, oldest first."""
        shelf = self.shelves.get(name)
        entries = shelf.entries if shelf is not None else {}
        return [version for version, entry in entries.items() if version and entry.available]

    def index(self, ready: bool = False) -> list[dict[str, str]]:
        """The repository index: name, version, state and reason of every directory (or of the ready ones)."""
        return [
            {"name": name, "version": version, "state": str(state), "reason": reason}
            for (name, version), (state, reason) in self._now().items()
            if not ready or state is State.READY
        ]

    def why_not_ready(self) -> str:
        """Why the server is not ready; empty when it is.

        `scan`: every directory was tried. `any` and `all` ask for that many ready models besides. A mount that is one
        model is ready when that model is, whatever the rule.
        """
        if self.stopping:
            return "it is stopping"
        entries = {name: shelf.newest for name, shelf in list(self.shelves.items())}
        if not self.scanned:
            loading = [name for name, entry in entries.items() if entry.state is State.LOADING]
            return f"{len(loading)} of {len(entries)} models are still loading"
        now = {name: entry.now for name, entry in entries.items()}
        bad = {name: reason for name, (state, reason) in now.items() if state not in (State.READY, State.EVICTED)}
        rule = "all" if self._catalog.single else self._ready_rule
        if (rule == "all" and bad) or (rule == "any" and len(bad) == len(entries)):
            return "; ".join(f"{name}: {reason}" for name, reason in bad.items()) or "there is no model"
        return ""

    # for KServe and the watcher

    async def load(self, name: str) -> None:
        """KServe's hook for `POST /v2/repository/models/{name}/load`.

        Raises:
            NotFound, NotReady: with the reason.
        """
        if not await asyncio.to_thread(self.load_model, name):
            raise NotReady(f"model {name!r} was not loaded: {self._why(name)}")

    def mounted(self) -> dict[str, list[Found]]:
        """The versions of every model that comes from the mount, not from a store."""
        names: dict[str, list[Found]] = {}
        for entry in self._entries():
            if entry.found.source is None:
                names.setdefault(entry.found.name, []).append(entry.found)
        return names

    # what the metrics tell

    def _states(self) -> dict[str, tuple[str, int]]:
        """Each model's state, and how many requests wait for it."""
        with self._changing:
            shelves = {name: (shelf.newest, list(shelf.entries.values())) for name, shelf in self.shelves.items()}
        elsewhere = self.followers.waiting
        return {
            name: (str(newest.now[0]), sum(entry.model.waiting for entry in entries if entry.model) + elsewhere(name))
            for name, (newest, entries) in shelves.items()
        }

    def _memory(self) -> dict[str, int]:
        """What each model that is in memory takes, in bytes: all its versions."""
        sizes: dict[str, int] = {}
        for entry in self._entries():
            if entry.model is not None:
                sizes[entry.found.name] = sizes.get(entry.found.name, 0) + entry.memory
        return sizes

    def _evicted(self, name: str) -> None:
        self.metrics.of(name).evictions += 1
