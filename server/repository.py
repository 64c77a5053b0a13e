"""Every directory of the mount with its state and reason: what the index, readiness and the routes ask.

A `kserve.ModelRepository`. Loading runs in threads (`Loader`); states change on whichever thread finishes, each in
one assignment, so that readers on the event loop never see half of one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TypeAlias

from kserve import ModelRepository

from adapters.base import LoadError
from server.batching import Limits
from server.catalog import Catalog, Found
from server.errors import NotFound, NotReady, sendable
from server.loader import Loaded, Loader
from server.metrics import Metrics
from server.model import ServedModel
from server.threads import Runs
from server.whole import WholeModel
from server.workers.remote import pool_of

log = logging.getLogger("kserve")

#: models that take tensors, and those that read whole requests
Served: TypeAlias = ServedModel | WholeModel


class State(StrEnum):
    """Triton's words for a model's state."""

    UNAVAILABLE = "UNAVAILABLE"
    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"


@dataclass(frozen=True)
class Entry:
    """One directory: its state, why, and the model while there is one."""

    found: Found
    state: State = State.LOADING
    reason: str = ""
    model: Served | None = None
    seconds: float = 0.0

    @property
    def now(self) -> tuple[State, str]:
        """The state and the reason as they are told: a model whose workers are all dead serves nobody."""
        pool = pool_of(self.model.adapter) if self.model is not None else None
        if pool is not None and pool.down:
            return State.UNAVAILABLE, pool.down
        if self.model is None and self.found.source is not None and self.found.source.status:
            return self.state, self.found.source.status
        return self.state, self.reason or (pool.limping if pool is not None else "")


class Repository(ModelRepository):
    """The models of one mount."""

    def __init__(self, catalog: Catalog, loader: Loader, executor: Runs, limits: Limits, ready_rule: str) -> None:
        super().__init__()
        self.entries = {found.name: Entry(found, reason="waiting to be loaded") for found in catalog.found}
        self.scanned = False
        self.log_latency = False  #: log the steps of every request
        self._changing = threading.Lock()  #: held while an entry is replaced, never while a model is loaded
        self._turns = {name: threading.Lock() for name in self.entries}  #: one load of a model at a time
        self.metrics = Metrics(self._states)
        self._catalog = catalog
        self._loader = loader
        self._executor = executor
        self._limits = limits
        self._ready_rule = ready_rule

    # what KServe's data plane and the routes ask

    def get_model(self, name: str) -> Served | None:
        """The model if it is ready.

        Raises:
            NotReady: it is known but not ready; the message holds the reason.
        """
        entry = self.entries.get(name)
        if entry is None:
            return None
        if entry.model is None:
            raise NotReady(f"model {name!r} is not ready: {entry.now[1] or entry.state.lower()}")
        pool = pool_of(entry.model.adapter)
        if pool is not None:
            pool.check()
        return entry.model

    def ready_model(self, name: str, version: str | None = None) -> Served:
        """The model, ready to predict; None asks for no version in particular.

        Raises:
            NotFound, NotReady.
        """
        model = self.get_model(name)
        if model is None:
            raise NotFound(f"model {name!r} does not exist")
        if version is not None and (not version or version != model.version):
            raise NotFound(f"model {name!r} has no version {version!r}")
        return model

    def tensor_model(self, name: str, version: str | None = None) -> ServedModel:
        """As `ready_model`, for who found out before that the model takes tensors.

        Raises:
            NotFound, NotReady.
        """
        model = self.ready_model(name, version)
        if not isinstance(model, ServedModel):
            raise NotReady(f"model {name!r} has been replaced by one of another kind: try again")
        return model

    def get_models(self) -> dict[str, Served | None]:
        """Every directory by name, with its model while it has one."""
        return {name: entry.model for name, entry in self.entries.items()}

    async def is_model_ready(self, name: str) -> bool:
        entry = self.entries.get(name)
        return entry is not None and entry.now[0] is State.READY

    def index(self, ready: bool = False) -> list[dict[str, str]]:
        """The repository index: name, version, state and reason of every directory (or of the ready ones)."""
        return [
            {"name": name, "version": "", "state": str(state), "reason": reason}
            for name, (state, reason) in self._now().items()
            if not ready or state is State.READY
        ]

    def why_not_ready(self) -> str:
        """Why the server is not ready; empty when it is.

        `scan`: every directory was tried. `any` and `all` ask for that many ready models besides. A mount that is one
        model is ready when that model is, whatever the rule.
        """
        if not self.scanned:
            loading = [name for name, entry in self.entries.items() if entry.state is State.LOADING]
            return f"{len(loading)} of {len(self.entries)} models are still loading"
        bad = {name: reason for name, (state, reason) in self._now().items() if state is not State.READY}
        rule = "all" if self._catalog.single else self._ready_rule
        if (rule == "all" and bad) or (rule == "any" and len(bad) == len(self.entries)):
            return "; ".join(f"{name}: {reason}" for name, reason in bad.items()) or "there is no model"
        return ""

    def _now(self) -> dict[str, tuple[State, str]]:
        return {name: entry.now for name, entry in self.entries.items()}

    def _states(self) -> dict[str, tuple[str, int]]:
        """Each model's state, and how many requests wait for it."""
        return {
            name: (str(entry.now[0]), entry.model.waiting if entry.model else 0) for name, entry in self.entries.items()
        }

    # loading

    def first_scan(self, loading: Mapping[str, Future[Loaded]], when_done: Callable[[], None]) -> None:
        """Take in the models that are being loaded, each as it is done; `when_done` is called when all were tried."""
        left = set(loading)
        lock = threading.Lock()

        def done(mine: Entry, future: Future[Loaded]) -> None:
            self._take_in(mine, future.result)
            with lock:
                left.discard(mine.found.name)
                last = not left
            if last:
                finish()

        def finish() -> None:
            self.scanned = True
            when_done()

        for name, future in loading.items():
            future.add_done_callback(partial(done, self.entries[name]))
        if not loading:
            finish()

    async def load(self, name: str) -> None:
        """KServe's hook for `POST /v2/repository/models/{name}/load`.

        Raises:
            NotFound, NotReady: with the reason.
        """
        if not await asyncio.to_thread(self.load_model, name):
            raise NotReady(f"model {name!r} was not loaded: {self.entries[name].reason}")

    def load_model(self, name: str) -> bool:
        """Load (or load again) one directory; blocks. Its state and reason tell how it went.

        A model that is loaded again serves as it was until the new one is ready, and on when that fails.
        """
        if name not in self.entries:
            raise NotFound(f"model {name!r} does not exist")
        with self._turns[name]:
            with self._changing:
                old = self.entries[name]
                state, reason = (State.READY, "being loaded again") if old.model else (State.LOADING, "loading")
                mine = self.entries[name] = replace(old, state=state, reason=reason)
            return self._take_in(mine, lambda: self._loader.load(mine.found))

    def _take_in(self, mine: Entry, load: Callable[[], Loaded]) -> bool:
        """Put what was loaded, or the reason why not, in the place of `mine`: the entry since loading began."""
        try:
            loaded = load()
            new = Entry(mine.found, State.READY, "", self._serve(mine.found.name, loaded), loaded.seconds)
        except Exception as error:
            if not isinstance(error, LoadError):
                log.exception("model %s cannot be served", mine.found.name)
            return self._failed(mine, sendable(str(error)))
        if not self._change(mine, new):
            log.info("model %s was loaded, but is no longer asked for", mine.found.name)
            loaded.adapter.close()
            return False
        log.info("model %s is ready (%s, %.2f s)", mine.found.name, loaded.adapter.name, loaded.seconds)
        if mine.model is not None:
            mine.model.stop()
        return True

    def _failed(self, mine: Entry, reason: str) -> bool:
        shown = reason.replace("\n", "\n    ")  # whose text it is must not begin a line of the log
        if mine.model is None:
            log.warning("model %s is not served: %s", mine.found.name, shown)
            self._change(mine, Entry(mine.found, State.UNAVAILABLE, reason))
        else:
            log.warning("model %s keeps serving as it was: loading it again failed: %s", mine.found.name, shown)
            self._change(mine, replace(mine, reason=f"loading it again failed: {reason}"))
        return False

    def _change(self, mine: Entry, new: Entry) -> bool:
        """Replace an entry, unless somebody else (who unloaded the model, say) did meanwhile."""
        with self._changing:
            if self.entries[mine.found.name] is not mine:
                return False
            self.entries[mine.found.name] = new
            return True

    def _serve(self, name: str, loaded: Loaded) -> Served:
        limits = self._limits
        pool = pool_of(loaded.adapter)
        if pool is not None:
            pool.on_restart = self.metrics.of(name).restarted
        if loaded.adapter.signature.whole:
            count = pool.count if pool is not None else 1
            return WholeModel(name, loaded.adapter, limits, self.metrics.of(name), loaded.config.lanes, workers=count)
        if loaded.config.max_batch_rows:
            limits = replace(limits, max_rows=loaded.config.max_batch_rows)
        lanes = loaded.config.lanes or limits.lanes
        limits = replace(limits, lanes=lanes if loaded.adapter.thread_safe else 1)
        if pool is not None:  # another process pays, and how many there are was the operator's choice
            limits = replace(limits, lanes=pool.count, all_lanes=True)
        if loaded.warning:
            log.warning("model %s: %s", name, loaded.warning)
        merges = loaded.batchable and loaded.config.batching
        model = ServedModel(name, loaded.adapter, self._executor, limits, self.metrics.of(name), merges)
        model.enable_latency_logging = self.log_latency
        return model

    def unload(self, name: str) -> None:
        """Take a model out of service; its directory stays in the index."""
        if name not in self.entries:
            raise KeyError(f"model with name {name} does not exist")
        with self._changing:
            old = self.entries[name]
            self.entries[name] = Entry(old.found, State.UNAVAILABLE, "unloaded")
        if old.model is not None:
            old.model.stop()
