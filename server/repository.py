"""Every directory of the mount with its state and reason: what the index, readiness and the routes ask.

A `kserve.ModelRepository`. Loading runs in threads (`Loader`); states change on whichever thread finishes, each in
one assignment, so that readers on the event loop never see half of one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from kserve import ModelRepository

from adapters.base import LoadError
from server.batching import Limits
from server.catalog import Catalog, Found
from server.errors import NotFound, NotReady
from server.loader import Loaded, Loader
from server.metrics import Metrics
from server.model import ServedModel

log = logging.getLogger("kserve")


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
    model: ServedModel | None = None
    seconds: float = 0.0


class Repository(ModelRepository):
    """The models of one mount."""

    def __init__(self, catalog: Catalog, loader: Loader, executor: Executor, limits: Limits, ready_rule: str) -> None:
        super().__init__()
        self.entries = {found.name: Entry(found, reason="waiting to be loaded") for found in catalog.found}
        self.scanned = False
        self.metrics = Metrics(self._states)
        self._catalog = catalog
        self._loader = loader
        self._executor = executor
        self._limits = limits
        self._ready_rule = ready_rule

    # what KServe's data plane and the routes ask

    def get_model(self, name: str) -> ServedModel | None:
        """The model if it is ready.

        Raises:
            NotReady: it is known but not ready; the message holds the reason.
        """
        entry = self.entries.get(name)
        if entry is None:
            return None
        if entry.model is None:
            raise NotReady(f"model {name!r} is not ready: {entry.reason or entry.state.lower()}")
        return entry.model

    def ready_model(self, name: str) -> ServedModel:
        """The model, ready to predict.

        Raises:
            NotFound, NotReady.
        """
        model = self.get_model(name)
        if model is None:
            raise NotFound(f"model {name!r} does not exist")
        return model

    def get_models(self) -> dict[str, ServedModel | None]:
        """Every directory by name, with its model while it has one."""
        return {name: entry.model for name, entry in self.entries.items()}

    async def is_model_ready(self, name: str) -> bool:
        entry = self.entries.get(name)
        return entry is not None and entry.state is State.READY

    def index(self, ready: bool = False) -> list[dict[str, str]]:
        """The repository index: name, version, state and reason of every directory (or of the ready ones)."""
        return [
            {"name": name, "version": "", "state": str(entry.state), "reason": entry.reason}
            for name, entry in self.entries.items()
            if not ready or entry.state is State.READY
        ]

    def why_not_ready(self) -> str:
        """Why the server is not ready; empty when it is.

        `scan`: every directory was tried. `any` and `all` ask for that many ready models besides. A mount that is one
        model is ready when that model is, whatever the rule.
        """
        if not self.scanned:
            loading = [name for name, entry in self.entries.items() if entry.state is State.LOADING]
            return f"{len(loading)} of {len(self.entries)} models are still loading"
        bad = {name: entry.reason for name, entry in self.entries.items() if entry.state is not State.READY}
        rule = "all" if self._catalog.single else self._ready_rule
        if (rule == "all" and bad) or (rule == "any" and len(bad) == len(self.entries)):
            return "; ".join(f"{name}: {reason}" for name, reason in bad.items()) or "there is no model"
        return ""

    def _states(self) -> dict[str, tuple[str, int]]:
        """Each model's state, and how many requests wait for it."""
        return {
            name: (str(entry.state), entry.model.waiting if entry.model else 0) for name, entry in self.entries.items()
        }

    # loading

    def first_scan(self, loading: Mapping[str, Future[Loaded]], when_done: Callable[[], None]) -> None:
        """Take in the models that are being loaded, each as it is done; `when_done` is called when all were tried."""
        left = set(loading)

        def done(name: str, future: Future[Loaded]) -> None:
            self._take_in(name, self.entries[name], future.result)
            with lock:
                left.discard(name)
                last = not left
            if last:
                finish()

        def finish() -> None:
            self.scanned = True
            when_done()

        lock = threading.Lock()
        for name, future in loading.items():
            future.add_done_callback(partial(done, name))
        if not loading:
            finish()

    async def load(self, name: str) -> None:
        """KServe's hook for `POST /v2/repository/models/{name}/load`.

        Raises:
            NotFound, NotReady: with the reason.
        """
        if not await asyncio.to_thread(self.load_model, name):
            raise NotReady(f"model {name!r} is not ready: {self.entries[name].reason}")

    def load_model(self, name: str) -> bool:
        """Load (or load again) one directory; blocks. Its state and reason tell how it went."""
        entry = self.entries.get(name)
        if entry is None:
            raise NotFound(f"model {name!r} does not exist")
        self.entries[name] = replace(entry, state=State.LOADING, reason="loading")
        return self._take_in(name, entry, lambda: self._loader.load(entry.found))

    def _take_in(self, name: str, old: Entry, load: Callable[[], Loaded]) -> bool:
        try:
            self._serve(name, old, load())
        except LoadError as error:
            self._failed(name, old, str(error))
            return False
        return True

    def _failed(self, name: str, old: Entry, reason: str) -> None:
        if old.model is not None:
            log.warning("model %s keeps serving as it was: loading it again failed: %s", name, reason)
            self.entries[name] = replace(old, reason=f"loading it again failed: {reason}")
            return
        log.warning("model %s is not served: %s", name, reason)
        self.entries[name] = Entry(old.found, State.UNAVAILABLE, reason)

    def _serve(self, name: str, old: Entry, loaded: Loaded) -> None:
        limits = self._limits
        if loaded.config.max_batch_rows:
            limits = replace(limits, max_rows=loaded.config.max_batch_rows)
        limits = replace(limits, lanes=limits.lanes if loaded.adapter.thread_safe else 1)
        merges = loaded.batchable and loaded.config.batching
        model = ServedModel(name, loaded.adapter, self._executor, limits, self.metrics.of(name), merges)
        if loaded.warning:
            log.warning("model %s: %s", name, loaded.warning)
        log.info("model %s is ready (%s, %.2f s)", name, loaded.adapter.name, loaded.seconds)
        self.entries[name] = Entry(old.found, State.READY, "", model, loaded.seconds)
        if old.model is not None:
            old.model.stop()

    def unload(self, name: str) -> None:
        """Take a model out of service; its directory stays in the index."""
        entry = self.entries.get(name)
        if entry is None:
            raise KeyError(f"model with name {name} does not exist")
        self.entries[name] = Entry(entry.found, State.UNAVAILABLE, "unloaded")
        if entry.model is not None:
            entry.model.stop()
