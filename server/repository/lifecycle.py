"""How models come: a folder is looked at, each version to be served is loaded, and swapped in for what served before.

    first_scan: all of them, as the loader has begun to load them
    load_model, renew: one folder (again) --> load_version for each version --> what it no longer holds is forgotten
    load_version: the state says "loading" --> Loader --> ModelFactory --> _take_in: it takes its place, the old retires

An old model serves until the new one is ready, and on when loading fails; the reason of its state then says why it did.
After a restart there is no old model to keep serving: an older version serves where none that should can be loaded, and
so it does when the old one was evicted.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from functools import partial

from adapters.base import LoadError
from server.errors import NotFound, sendable
from server.loading.advice import with_advice
from server.loading.catalog import Catalog, Found
from server.loading.load_spec import LoadSpec
from server.loading.loader import Loaded, Loader
from server.loading.memory_budget import Demand, ModelKey, NotInMemory
from server.repository.claims import ModelClaims
from server.repository.factory import ModelFactory
from server.repository.on_demand import NoMemory
from server.repository.replicas import Replicas
from server.repository.retirement import Retirement
from server.repository.startup_log import ScanLog
from server.repository.state import ModelState, State
from server.repository.store import ModelStore
from server.text import mebibytes

log = logging.getLogger("kserve")


class Lifecycle:
    """Brings models into a store, and keeps them in step with their folders."""

    def __init__(
        self,
        store: ModelStore,
        loader: Loader,
        factory: ModelFactory,
        claims: ModelClaims,
        retirement: Retirement,
        replicas: Replicas,
        rescan: Callable[[], Catalog],
        before_load: Callable[[Found], None],
        unrequested: Demand,
        taken_in: Callable[[str], None] = lambda name: None,
    ) -> None:
        """`before_load` hears of each directory that is about to be loaded, but for those of the first scan.

        `unrequested` is what is done with a model that came while nobody asked for it. `taken_in` hears the name of
        each that has come.
        """
        self.scanned = False  #: every directory of the first scan was tried
        self.untried: Counter[str] = Counter()  #: models with directories that were not yet: how many
        self._store = store
        self._loader = loader
        self._factory = factory
        self._claims = claims
        self._retirement = retirement
        self._replicas = replicas
        self._rescan = rescan
        self._before_load = before_load
        self._unrequested = unrequested
        self._taken_in = taken_in
        self._each_logged = True  #: whether each model that is ready gets a line
        self._loads: dict[str, Future[bool]] = {}  #: loads under way, by name: who asks for one more joins
        self._lock = threading.Lock()  #: of `_loads`

    def first_scan(self, loading: MutableMapping[ModelKey, Future[Loaded]], when_done: Callable[[], None]) -> None:
        """Take in the models that are being loaded, each as it is done; `when_done` is called when all were tried.

        Whatever is taken in is removed from `loading`, which would otherwise keep models that were evicted in memory.
        """
        lock = threading.Lock()
        scan_log = ScanLog(len(loading), self._store.states)
        self._each_logged = scan_log.few

        def done(state: ModelState, future: Future[Loaded]) -> None:
            if not self._take_in(state, future.result):
                self._fall_back(state.found.name)
            with lock:
                self.untried[state.found.name] -= 1
                if not self.untried[state.found.name]:
                    del self.untried[state.found.name]
                del loading[state.found.key]
                last = not loading
            if last:
                finish()

        def finish() -> None:
            try:
                when_done()  # which collects garbage: whoever is told that the server is ready is spared the wait
            finally:
                scan_log.finish()
                self._each_logged = True
                self.scanned = True

        self.untried = Counter(name for name, _ in loading)
        if not loading:
            finish()
        for (name, version), future in list(loading.items()):
            future.add_done_callback(partial(done, self._store.models[name].states[version]))

    # folders

    def load_model(self, name: str) -> bool:
        """Look at a model's folder again and load what it holds (again); blocks. States and reasons tell how it went.

        What is loaded serves as it was until the new is ready, and on when that fails. While a load of the same name
        is under way, its outcome is waited for instead.

        Raises:
            NotFound: there is no such folder.
        """
        return self._once(name, lambda: self._load_folder(name))

    def renew(self, name: str, found: Sequence[Found], changed: Sequence[Found]) -> bool:
        """A folder has changed: it holds `found` now, of which `changed` are loaded (again); blocks.

        Versions that it no longer holds serve until all that it holds are ready.
        """
        return self._once(name, lambda: self._renew(name, found, changed, self._demand(name)))

    def _load_folder(self, name: str) -> bool:
        found = [each for each in self._rescan().found if each.name == name]
        if not found:
            self._retirement.forget(name)
            raise NotFound(f"model {name!r} does not exist")
        return self._renew(name, found, found, Demand.LOAD)

    def _demand(self, name: str) -> Demand:
        """What to do with something new of this name: for those who are not in memory, nobody else makes room."""
        versions = self._store.models.get(name)
        loaded = versions is not None and any(state.model is not None for state in versions.states.values())
        return Demand.LOAD if loaded else self._unrequested

    def _renew(self, name: str, found: Sequence[Found], changed: Sequence[Found], demand: Demand) -> bool:
        if not found:
            self._retirement.forget(name)
            return True
        loaded = [self.load_version(each, demand) for each in changed]  # every one, whatever becomes of the others
        states = [self._store.get(each.key) for each in found]
        if all(state is not None and state.now[0] in (State.READY, State.EVICTED) for state in states):
            self._retirement.keep_only(found)
        if not all(loaded):
            self._fall_back(name)
        return all(loaded)

    def _once(self, name: str, load: Callable[[], bool]) -> bool:
        """Load, or wait for what becomes of the load of this name that is under way."""
        with self._lock:
            under_way = self._loads.get(name)
            if under_way is None:
                begun = self._loads[name] = Future()
        if under_way is not None:
            return under_way.result()
        try:
            begun.set_result(load())
        except BaseException as error:
            begun.set_exception(error)
        finally:
            with self._lock:
                del self._loads[name]
        return begun.result()

    def bring(self, found: Found) -> None:
        """Load a model that requests wait for; blocks.

        Raises:
            NoMemory: there is no room for it.
        """
        with self._lock:
            under_way = self._loads.get(found.name)
        if under_way is not None:
            wait([under_way])
            return
        state = self._store.get(found.key)
        if state is None or state.model is not None or not state.available or self.load_version(state.found):
            return
        self._fall_back(found.name)
        state = self._store.get(found.key)
        if state is not None and state.state is State.EVICTED and not state.loading:
            raise NoMemory(f"model {found.name!r} is not ready: {state.reason}")

    # versions

    def load_version(self, found: Found, demand: Demand = Demand.LOAD) -> bool:
        """Load one directory (again), as far as it is in demand; blocks. Whether it is ready then."""
        self._before_load(found)
        found = self._store.as_promoted(found)
        with self._store.lock:
            old = self._store.get(found.key) or ModelState(found)
            state, reason = (State.READY, "being loaded again") if old.model else (State.LOADING, "loading")
            if old.model is None and old.available:  # requests wait for it, and need not be turned away
                state = old.state
            begun = replace(old, found=found, state=state, reason=reason, loading=True, failed=False)
            self._store.put(begun)
        return self._take_in(begun, lambda: self._loader.load(found, demand))

    def _fall_back(self, name: str) -> None:
        """Where no version that should serve can be loaded, let the newest older one serve that can; blocks."""
        while (versions := self._store.models.get(name)) is not None and versions.need_fallback:
            older = versions.next_older()
            with self._store.lock:
                versions = self._store.models.get(name)
                if older is None or versions is None or not versions.need_fallback:  # or somebody else was faster
                    return
                self._store.put(ModelState(older, loading=True))
            log.warning("model %s: no newer version can be loaded, version %s is tried", name, older.version)
            self.load_version(older, self._unrequested)

    def _take_in(self, begun: ModelState, load: Callable[[], Loaded]) -> bool:
        """Put what was loaded, or the reason why not, in the place of `begun`: the state since loading began."""
        loaded: Loaded | None = None
        try:
            loaded = load()
            new = self._served(begun.found, loaded)
        except NotInMemory as error:
            return self._not_in_memory(begun, error)
        except Exception as error:
            if loaded is not None:
                self._drop(loaded)
            if not isinstance(error, LoadError):
                log.exception("model %s cannot be served", begun.label)
            return self._failed(begun, sendable(with_advice(str(error), begun.found.directory)))
        with self._replicas.change(begun.found.name, new.load_spec):
            replaced = self._store.replace(begun, new, loaded.config.labels)
        if not replaced:
            log.info("model %s was loaded, but is no longer asked for", begun.label)
            self._drop(loaded)
            return False
        self._taken_in(begun.found.name)
        took = f"{loaded.seconds:.2f} s, {mebibytes(new.memory)}"
        level = logging.INFO if self._each_logged else logging.DEBUG
        log.log(level, "model %s is ready (%s, %s)", begun.label, loaded.adapter.name, took)
        if begun.model is not None:
            self._retirement.retire(begun.model)
        return True

    def _served(self, found: Found, loaded: Loaded) -> ModelState:
        model = self._factory.make(found, loaded, self._store.metrics.of(found.name, found.version))
        self._claims.hold(model, loaded.claim)
        memory = loaded.claim.memory if loaded.claim else 0
        spec = LoadSpec.of(found, loaded)
        reason = sendable(loaded.warning)
        return ModelState(
            *(found, State.READY, reason, model, loaded.seconds, memory, loaded.config.pinned),
            of_language=loaded.adapter.signature.of_language,
            load_spec=spec,
        )

    def _not_in_memory(self, begun: ModelState, error: NotInMemory) -> bool:
        """It can be served, but is not in memory now."""
        if begun.model is not None:
            return self._failed(begun, str(error))
        config, known = error.config, error.memory or begun.memory
        new = ModelState(
            *(begun.found, State.EVICTED, str(error)),
            memory=known,
            pinned=config.pinned,
            of_language=begun.of_language,
        )
        self._store.replace(begun, new, config.labels)
        log.info("model %s is not in memory: %s", begun.label, error)
        return False

    def _failed(self, begun: ModelState, reason: str) -> bool:
        shown = reason.replace("\n", "\n    ")  # whose text it is must not begin a line of the log
        if begun.found.name in self._store.serving:
            self._store.metrics.of(begun.found.name).failed_reloads += 1
        if begun.model is None:
            log.warning("model %s is not served: %s", begun.label, shown)
            self._store.replace(begun, ModelState(begun.found, State.UNAVAILABLE, reason, failed=True))
        else:
            log.warning("model %s keeps serving as it was: loading it again failed: %s", begun.label, shown)
            self._store.replace(begun, replace(begun, reason=f"loading it again failed: {reason}", loading=False))
        return False

    def _drop(self, loaded: Loaded) -> None:
        """Nobody wants what was loaded."""
        loaded.adapter.close()
        if loaded.claim is not None:
            self._loader.budget.release(loaded.claim)
