"""How models come: a folder is looked at, each version to be served is loaded, and swapped in for what served before.

    first_scan: all of them, as the loader has begun to load them
    load_model, renew: one folder (again) --> load_version for each version --> what it no longer holds is forgotten
    load_version: the entry says "loading" --> Loader --> _take_in: the new entry takes its place --> the old retires

An old model serves until the new one is ready, and on when loading fails; the entry's reason then says why it did.
After a restart there is no old model: then an older version serves where none that should can be loaded (fallback.py).

After a restart there is no old model to keep serving: an older version serves where none that should can be loaded.

A version that fails keeps the old one serving; so it does through a restart, and when the old one was evicted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import replace
from functools import partial

from adapters.base import LoadError
from server.errors import NotFound, sendable
from server.inference.batching.queue import Limits
from server.inference.batching.threads import Executor
from server.loading.catalog import Catalog, Found, older_versions
from server.loading.load_spec import LoadSpec
from server.loading.loader import Loaded, Loader, ModelKey
from server.loading.memory_budget import Demand, NotInMemory
from server.repository.eviction import Evictor
from server.repository.factory import serve
from server.repository.on_demand import NoMemory
from server.repository.retirement import Unloading
from server.repository.startup_log import ScanLog
from server.repository.state import ModelState, ModelVersions, State
from server.telemetry.metrics import Metrics

log = logging.getLogger("kserve")


class Loading(Unloading):
    """Shelves that models come to."""

    def __init__(
        self,
        metrics: Metrics,
        tenants: Evictor,
        loader: Loader,
        executor: Executor,
        limits: Limits,
        rescan: Callable[[], Catalog],
    ) -> None:
        super().__init__(metrics, tenants)
        self.scanned = False
        self.log_latency = False  #: log the steps of every request
        self.before_load: Callable[[Found], None] = lambda found: None  #: told of each directory that is about to load
        self.unasked = Demand.TRY  #: what is done with a model that came while nobody asked for it
        self._each_logged = True  #: whether each model that is ready gets a line
        self._loads: dict[str, Future[bool]] = {}  #: loads under way, by name: who asks for one more joins
        self._loader = loader
        self._executor = executor
        self._limits = limits
        self._rescan = rescan

    def first_scan(self, loading: Mapping[ModelKey, Future[Loaded]], when_done: Callable[[], None]) -> None:
        """Take in the models that are being loaded, each as it is done; `when_done` is called when all were tried."""
        left = set(loading)
        lock = threading.Lock()
        told = ScanLog(len(loading), self._entries)
        self._each_logged = told.few

        def done(mine: ModelState, future: Future[Loaded]) -> None:
            if not self._take_in(mine, future.result):
                self._fall_back(mine.found.name)
            with lock:
                left.discard(mine.found.key)
                last = not left
            if last:
                finish()

        def finish() -> None:
            try:
                when_done()  # which collects garbage: whoever is told that the server is ready is spared the wait
            finally:
                told.finish()
                self._each_logged = True
                self.scanned = True

        for (name, version), future in loading.items():
            future.add_done_callback(partial(done, self.shelves[name].entries[version]))
        if not loading:
            finish()

    # folders

    def load_model(self, name: str) -> bool:
        """Look at a model's folder again and load what it holds (again); blocks. States and reasons tell how it went.

        What is loaded serves as it was until the new is ready, and on when that fails. While a load of the same name
        is under way, its outcome is waited for instead.

        Raises:
            NotFound: there is no such folder.
        """
        return self._once(name, lambda: self._load_folder(name))

    def renew(self, name: str, found: list[Found], changed: list[Found]) -> bool:
        """A folder has changed: it holds `found` now, of which `changed` are loaded (again); blocks.

        Versions that it no longer holds serve until all that it holds are ready.
        """
        return self._once(name, lambda: self._renew(name, found, changed, self._wanted(name)))

    def _load_folder(self, name: str) -> bool:
        found = [each for each in self._rescan().found if each.name == name]
        if not found:
            self.forget(name)
            raise NotFound(f"model {name!r} does not exist")
        return self._renew(name, found, found)

    def _wanted(self, name: str) -> Demand:
        """What to do with something new of this name: for those who are not in memory, nobody else makes room."""
        shelf = self.shelves.get(name)
        loaded = shelf is not None and any(entry.model is not None for entry in shelf.entries.values())
        return Demand.LOAD if loaded else self.unasked

    def _renew(self, name: str, found: list[Found], changed: list[Found], demand: Demand = Demand.LOAD) -> bool:
        if not found:
            self.forget(name)
            return True
        loaded = [self.load_version(each, demand) for each in changed]  # every one, whatever becomes of the others
        entries = [self._entry(each.key) for each in found]
        if all(entry is not None and entry.now[0] in (State.READY, State.EVICTED) for entry in entries):
            self.keep_only(found)
        if not all(loaded):
            self._fall_back(name)
        return all(loaded)

    def _once(self, name: str, load: Callable[[], bool]) -> bool:
        """Load, or wait for what becomes of the load of this name that is under way."""
        with self._changing:
            running = self._loads.get(name)
            if running is None:
                mine = self._loads[name] = Future()
        if running is not None:
            return running.result()
        try:
            mine.set_result(load())
        except BaseException as error:
            mine.set_exception(error)
        finally:
            with self._changing:
                del self._loads[name]
        return mine.result()

    def _bring(self, found: Found) -> None:
        """Load a model that requests wait for; blocks.

        Raises:
            NoMemory: there is no room for it.
        """
        with self._changing:
            running = self._loads.get(found.name)
            entry = self._entry(found.key)
        if running is not None:
            wait([running])
        elif entry is not None and entry.model is None and entry.available and not self.load_version(entry.found):
            self._fall_back(found.name)
            entry = self._entry(found.key)
            if entry is not None and entry.state is State.EVICTED and not entry.loading:
                raise NoMemory(f"model {found.name!r} is not ready: {entry.reason}")

    # versions

    def load_version(self, found: Found, demand: Demand = Demand.LOAD) -> bool:
        """Load one directory (again), as far as it is in demand; blocks. Whether it is ready then."""
        self.before_load(found)
        with self._changing:
            old = self._entry(found.key) or ModelState(found)
            state, reason = (State.READY, "being loaded again") if old.model else (State.LOADING, "loading")
            if old.model is None and old.available:  # requests wait for it, and need not be turned away
                state = old.state
            mine = replace(old, found=found, state=state, reason=reason, loading=True, failed=False)
            self._put(mine)
        return self._take_in(mine, lambda: self._loader.load(found, demand))

    def _fall_back(self, name: str) -> None:
        """Where no version that should serve can be loaded, let the newest older one serve that can; blocks."""
        while due(shelf := self.shelves.get(name)) and shelf is not None:
            older = next_older(shelf)
            with self._changing:
                if older is None or not due(self.shelves.get(name)):  # or somebody else was faster
                    return
                self._put(ModelState(older, loading=True))
            log.warning("model %s: no newer version can be loaded, version %s is tried", name, older.version)
            self.load_version(older, self.unasked)

    def _take_in(self, mine: ModelState, load: Callable[[], Loaded]) -> bool:
        """Put what was loaded, or the reason why not, in the place of `mine`: the entry since loading began."""
        loaded: Loaded | None = None
        try:
            loaded = load()
            new = self._served(mine.found, loaded)
        except NotInMemory as error:
            return self._waits(mine, error)
        except Exception as error:
            if loaded is not None:
                self._drop(loaded)
            if not isinstance(error, LoadError):
                log.exception("model %s cannot be served", mine.label)
            return self._failed(mine, sendable(str(error)))
        with self.followers.change(mine.found.name, new.recipe):
            changed = self._change(mine, new, loaded.config.labels)
        if not changed:
            log.info("model %s was loaded, but is no longer asked for", mine.label)
            self._drop(loaded)
            return False
        took = f"{loaded.seconds:.2f} s, {new.memory / 2**20:.1f} MiB"
        level = logging.INFO if self._each_logged else logging.DEBUG
        log.log(level, "model %s is ready (%s, %s)", mine.label, loaded.adapter.name, took)
        if mine.model is not None:
            self._retire(mine.model)
        return True

    def _served(self, found: Found, loaded: Loaded) -> ModelState:
        metrics = self.metrics.of(found.name)
        model = serve(found, loaded, self._executor, self._limits, metrics, self.log_latency)
        self._tenants.hold(model, loaded.claim)
        memory = loaded.claim.memory if loaded.claim else 0
        recipe = LoadSpec.of(found, loaded)
        return ModelState(found, State.READY, "", model, loaded.seconds, memory, loaded.config.pinned, recipe=recipe)

    def _waits(self, mine: ModelState, error: NotInMemory) -> bool:
        """It can be served, but is not in memory now."""
        if mine.model is not None:
            return self._failed(mine, str(error))
        config, known = error.config, error.memory or mine.memory
        new = ModelState(mine.found, State.EVICTED, str(error), memory=known, pinned=config.pinned)
        self._change(mine, new, config.labels)
        log.info("model %s is not in memory: %s", mine.label, error)
        return False

    def _failed(self, mine: ModelState, reason: str) -> bool:
        shown = reason.replace("\n", "\n    ")  # whose text it is must not begin a line of the log
        if mine.found.name in self.serving:
            self.metrics.of(mine.found.name).failed_reloads += 1
        if mine.model is None:
            log.warning("model %s is not served: %s", mine.label, shown)
            self._change(mine, ModelState(mine.found, State.UNAVAILABLE, reason, failed=True))
        else:
            log.warning("model %s keeps serving as it was: loading it again failed: %s", mine.label, shown)
            self._change(mine, replace(mine, reason=f"loading it again failed: {reason}", loading=False))
        return False

    def _drop(self, loaded: Loaded) -> None:
        """Nobody wants what was loaded."""
        loaded.adapter.close()
        if loaded.claim is not None:
            self._loader.budget.release(loaded.claim)


def due(shelf: ModelVersions | None) -> bool:
    """Whether the newest of the model's versions has failed, none serves, and none is on its way."""
    entries = list(shelf.entries.values()) if shelf is not None else []
    return bool(entries) and entries[-1].failed and not any(entry.available or entry.busy for entry in entries)


def next_older(shelf: ModelVersions) -> Found | None:
    """The newest older version that was not tried yet. Looks at the folder."""
    entries = list(shelf.entries.values())
    tried = {entry.found.version for entry in entries if entry.failed}
    return next((older for older in older_versions(entries[-1].found) if older.version not in tried), None)
