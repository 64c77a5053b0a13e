"""Every directory with its state and reason: what the index, readiness and the routes ask.

A `kserve.ModelRepository`. Loading runs in threads (`Loader`); states change on whichever thread finishes, each in
one assignment under the lock, so that readers on the event loop never see half of one.

    load:     the folder is looked at again --> each version to be served is loaded --> swapped in --> the old retires
    unload:   UNLOADING --> requests in flight are answered --> the model is closed --> UNAVAILABLE
    evict:    EVICTED (`evicting`) --> a request comes: all who ask wait for one load (`waking`) --> READY
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import Any

from kserve import ModelRepository

from adapters.base import LoadError
from server.batching import Limits
from server.budget import Demand, Waits
from server.catalog import Catalog, Found
from server.entries import Entry, Served, Shelf, State
from server.errors import NotFound, NotReady, sendable
from server.evicting import Tenants
from server.loader import Key, Loaded, Loader
from server.metrics import Metrics
from server.model import ServedModel
from server.scan_log import ScanLog
from server.threads import Runs
from server.waking import Asleep, NoMemory, Waking
from server.whole import WholeModel
from server.workers.remote import pool_of

__all__ = ["Entry", "Repository", "Served", "State", "tensors"]

log = logging.getLogger("kserve")


class Repository(ModelRepository):
    """The models of one mount, and those of stores."""

    def __init__(
        self,
        catalog: Catalog,
        loader: Loader,
        executor: Runs,
        limits: Limits,
        ready_rule: str,
        rescan: Callable[[], Catalog] | None = None,
    ) -> None:
        """`rescan` looks at the mount again; without it only what the catalog holds is ever served."""
        super().__init__()
        self.shelves: dict[str, Shelf] = {}
        self.serving: dict[str, Served] = {}  #: what a request is for that names no version
        self.scanned = False
        self._each_logged = True  #: whether each model that is ready gets a line
        self.stopping = False  #: the server has been told to stop
        self.log_latency = False  #: log the steps of every request
        self.before_load: Callable[[Found], None] = lambda found: None  #: told of each directory that is about to load
        self.loop: asyncio.AbstractEventLoop | None = None  #: where requests are; set once it runs
        self._changing = threading.RLock()  #: held while entries are replaced, never while a model is loaded
        self.unasked = Demand.TRY  #: what is done with a model that came while nobody asked for it
        self._loads: dict[str, Future[bool]] = {}  #: loads under way, by name: who asks for one more joins
        self._waking: Waking[Served] = Waking(self.ready_model, self._bring, limits, ThreadPoolExecutor(2, "wake"))
        self._tenants = Tenants(loader.budget, self._entries, self._take_out, self._waking.awaited, self._evicted)
        loader.budget.house = self._tenants
        self.metrics = Metrics(self._states, self._memory, loader.budget.limit)
        self._catalog = catalog
        self._rescan = rescan or (lambda: catalog)
        self._loader = loader
        self._executor = executor
        self._limits = limits
        self._ready_rule = ready_rule
        for found in catalog.found:
            self._put(Entry(found, reason="waiting to be loaded"))

    # what KServe's data plane and the routes ask

    def get_model(self, name: str) -> Served | None:
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

    def ready_model(self, name: str, version: str | None = None) -> Served:
        """The model, ready to predict; `version` is a number or a label, None asks for the newest that is ready.

        Raises:
            NotFound, NotReady.
        """
        if version is None:
            model = self.get_model(name)
            if model is None:
                raise NotFound(f"model {name!r} does not exist")
            return model
        shelf = self.shelves.get(name)
        if shelf is None:
            raise NotFound(f"model {name!r} does not exist")
        entry = shelf.of(version)
        if entry is None:
            raise NotFound(f"model {name!r} has no version {version!r}{_held(shelf)}")
        return self._checked(name, entry)

    async def ready(self, name: str, version: str | None = None) -> Served:
        """As `ready_model`, but a model that is not in memory is brought back.

        Raises:
            NotFound, NotReady.
            QueueFull, DeadlineExceeded: too many wait for it, or waited too long.
        """
        try:
            return self.ready_model(name, version)
        except Asleep:
            return await self._waking.model(name, version)

    def is_asleep(self, name: str, version: str | None = None) -> bool:
        """Whether requests have to wait until the model is loaded."""
        shelf = self.shelves.get(name)
        entry = None if shelf is None else shelf.newest if version is None else shelf.of(version)
        return entry is not None and entry.model is None and entry.available

    def tensor_model(self, name: str, version: str | None = None) -> ServedModel:
        """As `ready_model`, for who found out before that the model takes tensors.

        Raises:
            NotFound, NotReady.
        """
        return tensors(self.ready_model(name, version))

    def get_models(self) -> dict[str, Served | None]:
        """Every model by name, with what serves it."""
        return {name: self.serving.get(name) for name in self.shelves}

    async def is_model_ready(self, name: str) -> bool:
        return self.is_ready(name)

    def is_ready(self, name: str, version: str | None = None) -> bool:
        """Whether a request for it would reach a model."""
        shelf = self.shelves.get(name)
        if shelf is None:
            return False
        entry = shelf.newest if version is None else shelf.of(version)
        return entry is not None and entry.now[0] in (State.READY, State.EVICTED)

    def check_known(self, name: str, version: str | None = None) -> None:
        """
        Raises:
            NotFound: there is no such model, or it has no such version.
        """
        shelf = self.shelves.get(name)
        if shelf is None:
            raise NotFound(f"model {name!r} does not exist")
        if version is not None and shelf.of(version) is None:
            raise NotFound(f"model {name!r} has no version {version!r}{_held(shelf)}")

    def versions(self, name: str) -> list[str]:
        """The versions that are ready, or will be when a request comes, oldest first."""
        shelf = self.shelves.get(name)
        return (
            []
            if shelf is None
            else [version for version, entry in shelf.entries.items() if version and entry.available]
        )

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

    def _checked(self, name: str, entry: Entry) -> Served:
        if entry.model is None:
            of = f" version {entry.found.version}" if entry.found.version else ""
            why = f"model {name!r}{of} is not ready: {entry.now[1] or entry.state.lower()}"
            raise Asleep(why, entry.found) if entry.available else NotReady(why)
        pool = pool_of(entry.model.adapter)
        if pool is not None:
            pool.check()
        return entry.model

    def _entries(self) -> list[Entry]:
        with self._changing:
            return [entry for shelf in self.shelves.values() for entry in shelf.entries.values()]

    def _now(self) -> dict[Key, tuple[State, str]]:
        return {entry.found.key: entry.now for entry in self._entries()}

    def _states(self) -> dict[str, tuple[str, int]]:
        """Each model's state, and how many requests wait for it."""
        with self._changing:
            shelves = {name: (shelf.newest, list(shelf.entries.values())) for name, shelf in self.shelves.items()}
        return {
            name: (str(newest.now[0]), sum(entry.model.waiting for entry in entries if entry.model))
            for name, (newest, entries) in shelves.items()
        }

    def _memory(self) -> dict[str, int]:
        """What each model that is in memory takes, in bytes: all its versions."""
        sizes: dict[str, int] = {}
        for entry in self._entries():
            if entry.model is not None:
                sizes[entry.found.name] = sizes.get(entry.found.name, 0) + entry.memory
        return sizes

    # loading

    def first_scan(self, loading: Mapping[Key, Future[Loaded]], when_done: Callable[[], None]) -> None:
        """Take in the models that are being loaded, each as it is done; `when_done` is called when all were tried."""
        left = set(loading)
        lock = threading.Lock()
        told = ScanLog(len(loading), self._entries)
        self._each_logged = told.few

        def done(mine: Entry, future: Future[Loaded]) -> None:
            self._take_in(mine, future.result)
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

    async def load(self, name: str) -> None:
        """KServe's hook for `POST /v2/repository/models/{name}/load`.

        Raises:
            NotFound, NotReady: with the reason.
        """
        if not await asyncio.to_thread(self.load_model, name):
            raise NotReady(f"model {name!r} was not loaded: {self._why(name)}")

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

    def mounted(self) -> dict[str, list[Found]]:
        """The versions of every model that comes from the mount, not from a store."""
        names: dict[str, list[Found]] = {}
        for entry in self._entries():
            if entry.found.source is None:
                names.setdefault(entry.found.name, []).append(entry.found)
        return names

    def _once(self, name: str, load: Callable[[], bool]) -> bool:
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
        return all(loaded)

    def load_version(self, found: Found, demand: Demand = Demand.LOAD) -> bool:
        """Load one directory (again), as far as it is in demand; blocks. Whether it is ready then."""
        self.before_load(found)
        with self._changing:
            old = self._entry(found.key) or Entry(found)
            state, reason = (State.READY, "being loaded again") if old.model else (State.LOADING, "loading")
            if old.model is None and old.available:  # requests wait for it, and need not be turned away
                state = old.state
            mine = replace(old, found=found, state=state, reason=reason, loading=True)
            self._put(mine)
        return self._take_in(mine, lambda: self._loader.load(found, demand))

    def _take_in(self, mine: Entry, load: Callable[[], Loaded]) -> bool:
        """Put what was loaded, or the reason why not, in the place of `mine`: the entry since loading began."""
        label = _label(mine.found)
        loaded: Loaded | None = None
        try:
            loaded = load()
            new = Entry(
                mine.found, State.READY, "", self._serve(mine.found, loaded), loaded.seconds, **_held_by(loaded)
            )
        except Waits as error:
            return self._waits(mine, error)
        except Exception as error:
            if loaded is not None:
                self._drop(loaded)
            if not isinstance(error, LoadError):
                log.exception("model %s cannot be served", label)
            return self._failed(mine, sendable(str(error)))
        if not self._change(mine, new, loaded.config.labels):
            log.info("model %s was loaded, but is no longer asked for", label)
            self._drop(loaded)
            return False
        took = f"{loaded.seconds:.2f} s, {new.memory / 2**20:.1f} MiB"
        level = logging.INFO if self._each_logged else logging.DEBUG
        log.log(level, "model %s is ready (%s, %s)", label, loaded.adapter.name, took)
        if mine.model is not None:
            self._retire(mine.model)
        return True

    def _waits(self, mine: Entry, error: Waits) -> bool:
        """It can be served, but is not in memory now."""
        if mine.model is not None:
            return self._failed(mine, str(error))
        config, known = error.config, error.memory or mine.memory
        new = Entry(mine.found, State.EVICTED, str(error), memory=known, pinned=config.pinned)
        self._change(mine, new, config.labels)
        log.info("model %s is not in memory: %s", _label(mine.found), error)
        return False

    def _drop(self, loaded: Loaded) -> None:
        """Nobody wants what was loaded."""
        loaded.adapter.close()
        if loaded.claim is not None:
            self._loader.budget.release(loaded.claim)

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
            entry = self._entry(found.key)
            if entry is not None and entry.state is State.EVICTED and not entry.loading:
                raise NoMemory(f"model {found.name!r} is not ready: {entry.reason}")

    def _evicted(self, name: str) -> None:
        self.metrics.of(name).evictions += 1

    def _failed(self, mine: Entry, reason: str) -> bool:
        shown = reason.replace("\n", "\n    ")  # whose text it is must not begin a line of the log
        label = _label(mine.found)
        if mine.found.name in self.serving:
            self.metrics.of(mine.found.name).failed_reloads += 1
        if mine.model is None:
            log.warning("model %s is not served: %s", label, shown)
            self._change(mine, Entry(mine.found, State.UNAVAILABLE, reason))
        else:
            log.warning("model %s keeps serving as it was: loading it again failed: %s", label, shown)
            self._change(mine, replace(mine, reason=f"loading it again failed: {reason}", loading=False))
        return False

    # changing entries

    def _entry(self, key: Key) -> Entry | None:
        shelf = self.shelves.get(key[0])
        return shelf.entries.get(key[1]) if shelf is not None else None

    def _put(self, entry: Entry) -> None:
        name = entry.found.name
        shelf = self.shelves.get(name) or Shelf()
        shelf.put(entry)
        self.shelves[name] = shelf
        self._settle(name)

    def _settle(self, name: str) -> None:
        """Say anew who serves a name."""
        shelf = self.shelves.get(name)
        model = shelf.newest.model if shelf is not None else None
        if model is None:
            self.serving.pop(name, None)
            return
        if self.serving.get(name, model) is not model:
            self.metrics.of(name).swaps += 1
        self.serving[name] = model

    def _change(self, mine: Entry, new: Entry, labels: Mapping[str, str] | None = None) -> bool:
        """Replace an entry, unless somebody else (who unloaded the model, say) did meanwhile."""
        with self._changing:
            if self._entry(mine.found.key) is not mine:
                return False
            self._put(new)
            if labels is not None:
                self.shelves[mine.found.name].labels = dict(labels)
            return True

    def _why(self, name: str) -> str:
        with self._changing:
            shelf = self.shelves.get(name)
            reasons = [entry.now[1] for entry in shelf.entries.values()] if shelf else []
        return "; ".join(filter(None, reasons)) or "it was unloaded meanwhile"

    def _serve(self, found: Found, loaded: Loaded) -> Served:
        name, version, limits = found.name, found.version, self._limits
        pool = pool_of(loaded.adapter)
        if pool is not None:
            pool.on_restart = self.metrics.of(name).restarted
        if loaded.adapter.signature.whole:
            count = pool.count if pool is not None else 1
            whole = WholeModel(name, loaded.adapter, limits, self.metrics.of(name), loaded.config.lanes, version, count)
            self._tenants.hold(whole, loaded.claim)
            return whole
        if loaded.config.max_batch_rows:
            limits = replace(limits, max_rows=loaded.config.max_batch_rows)
        lanes = loaded.config.lanes or limits.lanes
        limits = replace(limits, lanes=lanes if loaded.adapter.thread_safe else 1)
        if pool is not None:  # another process pays, and how many there are was the operator's choice
            limits = replace(limits, lanes=pool.count, all_lanes=True)
        if loaded.warning:
            log.warning("model %s: %s", name, loaded.warning)
        merges = loaded.batchable and loaded.config.batching
        model = ServedModel(name, loaded.adapter, self._executor, limits, self.metrics.of(name), merges, version)
        model.enable_latency_logging = self.log_latency
        self._tenants.hold(model, loaded.claim)
        return model

    # unloading

    def unload(self, name: str) -> None:
        """Take a model, all its versions, out of service; its directory stays in the index. Returns at once.

        Raises:
            KeyError: there is none; KServe's routes expect that.
        """
        if name not in self.shelves:
            raise KeyError(f"model with name {name} does not exist")
        for entry in list(self.shelves[name].entries.values()):
            self._take_out(entry, "unloaded", State.UNAVAILABLE)

    async def unload_and_wait(self, name: str) -> None:
        """As `unload`, and wait until the requests in flight are answered and the models closed."""
        shelf = self.shelves.get(name)
        if shelf is None:
            raise NotFound(f"model {name!r} does not exist")
        loop = asyncio.get_running_loop()
        futures = []
        for entry in list(shelf.entries.values()):
            future = loop.create_future()
            self._take_out(entry, "unloaded", State.UNAVAILABLE, partial(_resolve, loop, future))
            futures.append(future)
        await asyncio.gather(*futures)

    def forget(self, name: str, versions: Iterable[str] | None = None) -> None:
        """A directory is gone (or these versions of it): serve it no more, and list it no more."""
        with self._changing:
            shelf = self.shelves.get(name)
            entries = list(shelf.entries.values()) if shelf else []
            entries = [entry for entry in entries if versions is None or entry.found.version in versions]
            if shelf is not None and len(entries) == len(shelf.entries):
                del self.shelves[name]
            elif shelf is not None:
                shelf.drop({entry.found.version for entry in entries})
            self._settle(name)
        for entry in entries:
            log.info("model %s is no longer there", _label(entry.found))
            if entry.model is not None:
                self._retire(entry.model)

    def keep_only(self, found: list[Found]) -> None:
        """Forget the versions of a model that are not among these, which are all of that model."""
        name = found[0].name
        with self._changing:
            shelf = self.shelves.get(name)
            gone = set(shelf.entries if shelf else ()) - {each.version for each in found}
        if gone:
            self.forget(name, gone)

    def _take_out(self, entry: Entry, reason: str, state: State, then: Callable[[], None] = lambda: None) -> None:
        """Serve an entry no more; once it is closed it is in `state`, and `then` is called on the event loop."""
        out = Entry(entry.found, state, reason, memory=entry.memory, pinned=entry.pinned)
        with self._changing:
            if self._entry(entry.found.key) is not entry:
                then()
                return
            if entry.model is None or state is State.EVICTED:  # whoever asks for it may wait until it is back
                leaving = out
            else:
                leaving = Entry(entry.found, State.UNLOADING, "being unloaded")
            self._put(leaving)
        if entry.model is None:
            then()
            return

        def closed() -> None:
            self._change(leaving, out)
            then()

        self._retire(entry.model, closed)

    def _retire(self, model: Served, then: Callable[[], None] = lambda: None) -> None:
        """Close a model once nobody uses it, give its memory back to the system, and call `then`."""

        def closed() -> None:
            self._tenants.closed(model)
            then()

        if self.loop is None or self.loop.is_closed():  # nothing ever came, or nobody is left to wait
            model.retire(closed)
        else:
            self.loop.call_soon_threadsafe(model.retire, closed)


def _resolve(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    def resolve() -> None:
        if not future.done():
            future.set_result(None)

    loop.call_soon_threadsafe(resolve)


def tensors(model: Served) -> ServedModel:
    """The model, known to take tensors.

    Raises:
        NotReady: it does not any more.
    """
    if not isinstance(model, ServedModel):
        raise NotReady(f"model {model.name!r} has been replaced by one of another kind: try again")
    return model


def _held_by(loaded: Loaded) -> dict[str, Any]:
    return {"memory": loaded.claim.memory if loaded.claim else 0, "pinned": loaded.config.pinned}


def _label(found: Found) -> str:
    return f"{found.name} version {found.version}" if found.version else found.name


def _held(shelf: Shelf) -> str:
    held = [*(version for version in shelf.entries if version), *shelf.labels]
    return f"; it has {', '.join(held)}" if held else ""
