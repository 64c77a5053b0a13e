"""Every directory with its state and reason: what the index, readiness and the routes ask.

It looks models up and tells their states; how they come and go is up to its parts, each in
a file of its own, which know those below them:

    Repository        (here)            looks models up, tells states and readiness; wires the others
    OnDemandLoader    (on_demand.py)    a request for a model that is not in memory: all who ask wait for one load
    Evictor           (eviction.py)     who makes room in the memory budget
    Lifecycle         (lifecycle.py)    brings models: first scan, load, load again, fall back to an older version;
                                        `ModelFactory` (factory.py) makes them take requests
    Retirement        (retirement.py)   lets them go: unload, forget, evict, replace
    ModelClaims       (claims.py)       gives their memory back, to the system and to the budget
    why_not_ready     (readiness.py)    whether the server may be sent requests
    Suggestions       (suggestions.py)  which model may be meant by a name that there is not
    ModelStore        (store.py)        holds the states, and changes them under its lock
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

from server.errors import NotFound, NotReady
from server.inference.batching.queue import Limits
from server.inference.batching.threads import Executor
from server.inference.model import ServedModel
from server.inference.taps import Tap
from server.inference.user_metrics import UserMetrics
from server.loading.catalog import Catalog, Found
from server.loading.loader import Loaded, Loader
from server.loading.memory_budget import Demand, ModelKey
from server.loading.patient_pool import PatientPool
from server.repository.claims import ModelClaims
from server.repository.eviction import Evictor
from server.repository.factory import ModelFactory
from server.repository.lifecycle import Lifecycle
from server.repository.on_demand import NotLoaded, OnDemandLoader
from server.repository.promotion import promote, take_over
from server.repository.readiness import why_not_ready
from server.repository.replicas import NoReplicas, Replicas
from server.repository.retirement import Retirement
from server.repository.shadowing import ShadowTap
from server.repository.state import ModelState, State
from server.repository.store import ModelStore
from server.repository.suggestions import Suggestions
from server.telemetry.metrics import Metrics

__all__ = ["ModelState", "Repository", "ServedModel", "State"]


def _nobody_hears(found: Found) -> None:
    """Nobody has to know that the directory is about to be loaded."""


class Repository:
    """The models of one mount, and those of stores."""

    def __init__(
        self,
        catalog: Catalog,
        loader: Loader,
        executor: Executor,
        limits: Limits,
        ready_rule: str,
        rescan: Callable[[], Catalog] | None = None,
        *,
        store: ModelStore | None = None,
        replicas: Replicas | None = None,
        before_load: Callable[[Found], None] = _nobody_hears,
        unrequested: Demand = Demand.TRY,
        log_latency: bool = False,
        taps: Sequence[Tap] = (),
        keyed: bool = False,
    ) -> None:
        """Everything of `catalog` is "waiting to be loaded".

        `rescan` looks at the mount again; without it only what the catalog holds is ever served. `replicas` are other
        processes that answer for what is in `store`. `before_load` hears of each directory that is about to be loaded
        anew. `unrequested`: what to do with a model that came while nobody asked for it. `taps` look on at answers.
        `keyed`: not everybody may know of every model.
        """
        self.store = store or ModelStore()
        self._catalog = catalog
        self._ready_rule = ready_rule
        self._keyed = keyed
        self._suggestions = Suggestions(self.store.names, keyed=keyed)
        self._replicas = replicas = replicas or NoReplicas()
        self.stopping = False  #: it has been told to stop
        claims = ModelClaims(loader.budget)
        self._retirement = Retirement(self.store, claims, replicas)
        self._lifecycle = Lifecycle(
            self.store,
            loader,
            ModelFactory(executor, limits, log_latency, taps),
            claims,
            self._retirement,
            replicas,
            rescan or (lambda: catalog),
            before_load,
            unrequested,
            ShadowTap(self.store, partial(take_over, self.store, replicas)).attend,
        )
        self._on_demand: OnDemandLoader[ServedModel] = OnDemandLoader(
            self.ready_model, self._lifecycle.bring, limits, PatientPool(2, "wake")
        )
        self.user_metrics = UserMetrics(self.store.loaded)
        self.metrics = Metrics(
            *(self.queues, self.store.memory, loader.budget.limit, self.store.metrics, replicas.counts),
            details=self.store.details,
            in_flight_elsewhere=replicas.in_flight,
            downloaded=self.store.downloaded,
            others=self.user_metrics.families,
        )
        #: by name: what a request is for that names no version
        self.serving = self.store.serving
        for found in catalog.found:
            self.store.put(ModelState(found, reason="waiting to be loaded"))
        loader.budget.attach(Evictor(self.store, claims, self._retirement, self._on_demand.awaited))

    def attach_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on requests are on this event loop: models are closed there."""
        self._retirement.attach_loop(loop)

    # who answers a request

    def get_model(self, name: str) -> ServedModel | None:
        """The model if it is ready.

        Raises:
            NotReady: it is known but not ready; the message holds the reason.
        """
        model = self.serving.get(name)
        if model is None:
            versions = self.store.models.get(self.store.known_as(name))
            return None if versions is None else self._checked(name, versions.newest)
        pool = model.pool
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
                raise self._unknown(name)
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
            return await self._on_demand.model(name, version)

    def is_asleep(self, name: str, version: str | None = None) -> bool:
        """Whether requests have to wait until the model is loaded."""
        state = self._find(name, version)
        return state is not None and state.model is None and state.available

    def answers_whole(self, name: str, version: str | None) -> bool:
        """Whether what answers for the name now answers whole, never in parts."""
        model = self.serving.get(name)
        return model is not None and model.answers_whole

    def reads_events(self, name: str) -> bool:
        """Whether the model decodes CloudEvents itself."""
        model = self.serving.get(self.store.known_as(name))
        return model is not None and model.reads_events

    def may_be_of_language(self, name: str) -> bool:
        """Whether requests of OpenAI's API would reach a model, as far as is known of one that is not loaded."""
        state = self._find(name, None)
        return state is not None and state.available and state.of_language is not False

    def get_models(self) -> dict[str, ServedModel | None]:
        """Every model by name, with what serves it."""
        return {name: self.serving.get(name) for name in self.store.names()}

    def _find(self, name: str, version: str | None) -> ModelState | None:
        versions = self.store.models.get(self.store.known_as(name))
        if versions is None:
            return None
        return versions.newest if version is None else versions.of(version)

    def _known(self, name: str, version: str | None) -> ModelState:
        versions = self.store.models.get(self.store.known_as(name))
        if versions is None:
            raise self._unknown(name)
        state = versions.newest if version is None else versions.of(version)
        if state is None:
            held = ", ".join(dict.fromkeys([*versions.numbers(), *versions.labels]))
            raise NotFound(f"model {name!r} has no version {version!r}{held and f'; it has {held}'}")
        return state

    def _unknown(self, name: str) -> NotFound:
        return NotFound(f"model {name!r} does not exist{self._suggestions.hint(name)}")

    @contextmanager
    def _hinting(self, name: str) -> Iterator[None]:
        """Within, who is told that there is no such model is told which may be meant."""
        try:
            yield
        except NotFound as error:
            raise self._unknown(name) from error

    def _checked(self, name: str, state: ModelState) -> ServedModel:
        if state.model is None:
            of = f" version {state.found.version}" if state.found.version else ""
            why = f"model {name!r}{of} is not ready: {state.now[1] or state.state.lower()}"
            raise NotLoaded(why, state.found) if state.available else NotReady(why)
        pool = state.model.pool
        if pool is not None:
            pool.check()
        return state.model

    # what the index, readiness and the probes tell

    def is_ready(self, name: str, version: str | None = None) -> bool:
        """Whether a request for it would reach a model."""
        state = self._find(name, version)
        return state is not None and state.now[0] in (State.READY, State.EVICTED)

    def check_known(self, name: str, version: str | None = None) -> None:
        """
        Raises:
            NotFound: there is no such model, or it has no such version.
        """
        self._known(name, version)

    def versions(self, name: str) -> list[str]:
        """The versions that are ready, or will be when a request comes, oldest first."""
        versions = self.store.models.get(self.store.known_as(name))
        states = versions.numbers() if versions is not None else {}
        return [version for version, state in states.items() if state.available]

    def states(self, name: str, version: str | None = None) -> dict[str, ModelState]:
        """The states of a model's versions by number, oldest first, or that of one (a number or a label) alone.

        Raises:
            NotFound
        """
        known = self._known(name, version)
        versions = self.store.models.get(self.store.known_as(name))
        numbers = versions.numbers() if versions is not None else {}
        return {number: state for number, state in numbers.items() if version is None or state is known}

    def index(self, ready: bool = False) -> list[dict[str, str]]:
        """The repository index: name, version, state and reason of every directory (or of the ready ones)."""
        now = [(each.found, each.now) for each in self.store.states()]
        return [
            {"name": found.name, "version": found.version, "state": str(state), "reason": reason}
            for found, (state, reason) in now
            if not ready or state is State.READY
        ]

    @property
    def scanned(self) -> bool:
        """Whether every directory that was there at the start has been tried."""
        return self._lifecycle.scanned

    def begin_stop(self) -> None:
        """The server has been told to stop: it is not ready any more."""
        self.stopping = True

    def why_not_ready(self, *, named: bool | None = None) -> str:
        """Why the server is not ready; empty when it is (`readiness.py`).

        Health is open to all: unless told otherwise, no model is `named` where not everybody may know of every one.
        """
        if self.stopping:
            return "it is stopping"
        rule = "all" if self._catalog.single else self._ready_rule
        named = not self._keyed if named is None else named
        return why_not_ready(self.store, rule, self.scanned, loading=len(self._lifecycle.untried), named=named)

    # how models come and go, for KServe, the routes and the watcher

    def first_scan(self, loading: MutableMapping[ModelKey, Future[Loaded]], when_done: Callable[[], None]) -> None:
        """`Lifecycle.first_scan`"""
        self._lifecycle.first_scan(loading, when_done)

    async def load(self, name: str) -> None:
        """`load_model`, for who can wait.

        Raises:
            NotFound, NotReady: with the reason.
        """
        if not await asyncio.to_thread(self.load_model, name):
            why = "; ".join(self.store.reasons(name)) or "it was unloaded meanwhile"
            raise NotReady(f"model {name!r} was not loaded: {why}")

    def load_model(self, name: str) -> bool:
        """`Lifecycle.load_model`"""
        with self._hinting(name):
            return self._lifecycle.load_model(self.store.known_as(name))

    async def promote(self, name: str) -> str:
        """`promotion.promote`, for who can wait."""
        with self._hinting(name):
            return await asyncio.to_thread(promote, self.store, self._replicas, self.store.known_as(name))

    def load_version(self, found: Found, demand: Demand = Demand.LOAD) -> bool:
        """`Lifecycle.load_version`"""
        return self._lifecycle.load_version(found, demand)

    def renew(self, name: str, found: Sequence[Found], changed: Sequence[Found]) -> bool:
        """`Lifecycle.renew`"""
        return self._lifecycle.renew(name, found, changed)

    def unload(self, name: str) -> None:
        """`Retirement.unload`"""
        self._retirement.unload(self.store.known_as(name))

    async def unload_and_wait(self, name: str) -> None:
        """`Retirement.unload_and_wait`"""
        with self._hinting(name):
            await self._retirement.unload_and_wait(self.store.known_as(name))

    def mounted(self) -> dict[str, list[Found]]:
        """`ModelStore.mounted`"""
        return self.store.mounted()

    def queues(self) -> dict[str, tuple[str, int]]:
        """Each model's state, and how many requests wait for it, in all processes."""
        elsewhere = self._replicas.waiting
        return {name: (state, waiting + elsewhere(name)) for name, (state, waiting) in self.store.queues().items()}
