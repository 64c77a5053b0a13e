"""One directory that is, was or should be served: its state, why, and the model while there is one.

What a repository holds: a shelf of entries for each model, and who answers for its name.

Entries never change, they are replaced: in one assignment, under the lock, on whichever thread has news. Readers on
the event loop take no lock, and never see half of a change.

    put --> the shelf holds the entry --> settle: `serving[name]` is the newest version that serves
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from server.inference.model import ServedModel
from server.loading.catalog import Found
from server.loading.load_spec import LoadSpec
from server.loading.loader import ModelKey
from server.repository.replicas import NoReplicas, Replicas
from server.telemetry.metrics import Metrics
from server.workers.adapter import pool_of


class State(StrEnum):
    """Triton's words for a model's state, and one more: what went to make room comes back when it is asked for."""

    UNAVAILABLE = "UNAVAILABLE"
    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    EVICTED = "EVICTED"


@dataclass(frozen=True)
class ModelState:
    """A version of a model (or a model without versions)."""

    found: Found
    state: State = State.LOADING
    reason: str = ""
    model: ServedModel | None = None
    seconds: float = 0.0  #: that loading took
    memory: int = 0  #: bytes that it takes when it is loaded; 0: not known yet
    pinned: bool = False  #: it never makes room for others
    loading: bool = False  #: it is being loaded, for the first time or anew
    failed: bool = False  #: it could not be loaded
    recipe: LoadSpec | None = None  #: how another process can load what this one has

    @property
    def label(self) -> str:
        """Its name and version, for the log."""
        return f"{self.found.name} version {self.found.version}" if self.found.version else self.found.name

    @property
    def available(self) -> bool:
        """Whether requests are for it: it serves, or will when one comes."""
        return self.model is not None or self.state is State.EVICTED

    @property
    def busy(self) -> bool:
        """Whether it is on its way in or out."""
        return self.loading or self.state in (State.LOADING, State.UNLOADING)

    @property
    def now(self) -> tuple[State, str]:
        """The state and the reason as they are told: a model whose workers are all dead serves nobody."""
        pool = pool_of(self.model.adapter) if self.model is not None else None
        if pool is not None and pool.down:
            return State.UNAVAILABLE, pool.down
        if self.model is None and self.found.source is not None and self.found.source.status:
            return self.state, self.found.source.status
        return self.state, self.reason or (pool.degraded if pool is not None else "")


class ModelVersions:
    """The versions of one model, and which of them answers whom. Changed under the repository's lock only."""

    def __init__(self) -> None:
        self.entries: dict[str, ModelState] = {}  #: by version, oldest first; the version of a model without any is ""
        self.labels: dict[str, str] = {}  #: label -> version

    def put(self, entry: ModelState) -> None:
        self.entries[entry.found.version] = entry
        self.entries = dict(sorted(self.entries.items(), key=lambda item: int(item[0] or -1)))

    def drop(self, versions: Collection[str]) -> None:
        """Forget versions, not all. Readers may be going through the others, without the lock."""
        self.entries = {version: entry for version, entry in self.entries.items() if version not in versions}

    @property
    def newest(self) -> ModelState:
        """The newest version that serves, else the newest: what a request is for that names no version.

        One that was evicted counts as serving: which version answers must not depend on the memory.
        """
        entries = list(self.entries.values())
        serving = [entry for entry in entries if entry.available]
        return (serving or entries)[-1]

    def of(self, version: str) -> ModelState | None:
        """The version of that number or label."""
        if version.isascii() and version.isdecimal():
            version = version.lstrip("0") or "0"
        return self.entries.get(self.labels.get(version, version)) if version else None


class ModelStore:
    """Entries by name and version."""

    def __init__(self, metrics: Metrics) -> None:
        self.shelves: dict[str, ModelVersions] = {}
        self.serving: dict[str, ServedModel] = {}  #: what a request is for that names no version
        self.metrics = metrics
        self.followers: Replicas = NoReplicas()  #: other processes that answer for what is here
        self._changing = threading.RLock()  #: held while entries are replaced, never while a model is loaded

    def _entry(self, key: ModelKey) -> ModelState | None:
        shelf = self.shelves.get(key[0])
        return shelf.entries.get(key[1]) if shelf is not None else None

    def _entries(self) -> list[ModelState]:
        with self._changing:
            return [entry for shelf in self.shelves.values() for entry in shelf.entries.values()]

    def _now(self) -> dict[ModelKey, tuple[State, str]]:
        return {entry.found.key: entry.now for entry in self._entries()}

    def recipes(self, name: str) -> dict[str | None, LoadSpec]:
        """Who answers for a name now, by version and label (None: the name alone), of what others can load, too."""
        with self._changing:
            shelf = self.shelves.get(name)
            if shelf is None:
                return {}
            known: dict[str | None, ModelState | None] = {None: shelf.newest}
            known.update((version, entry) for version, entry in shelf.entries.items() if version)
            known.update((label, shelf.entries.get(version)) for label, version in shelf.labels.items())
        return {key: entry.recipe for key, entry in known.items() if entry and entry.model and entry.recipe}

    def _why(self, name: str) -> str:
        """The reasons of all its versions."""
        with self._changing:
            shelf = self.shelves.get(name)
            reasons = [entry.now[1] for entry in shelf.entries.values()] if shelf else []
        return "; ".join(filter(None, reasons)) or "it was unloaded meanwhile"

    def _put(self, entry: ModelState) -> None:
        name = entry.found.name
        shelf = self.shelves.get(name) or ModelVersions()
        shelf.put(entry)
        self.shelves[name] = shelf
        self._settle(name)

    def _change(self, mine: ModelState, new: ModelState, labels: Mapping[str, str] | None = None) -> bool:
        """Replace an entry, unless somebody else (who unloaded the model, say) did meanwhile."""
        with self._changing:
            if self._entry(mine.found.key) is not mine:
                return False
            self._put(new)
            if labels is not None:
                self.shelves[mine.found.name].labels = dict(labels)
            return True

    def _remove(self, name: str, versions: Collection[str] | None) -> list[ModelState]:
        """Take these versions of a model off its shelf (None: all, and the shelf with them)."""
        with self._changing:
            shelf = self.shelves.get(name)
            entries = list(shelf.entries.values()) if shelf else []
            entries = [entry for entry in entries if versions is None or entry.found.version in versions]
            if shelf is not None and len(entries) == len(shelf.entries):
                del self.shelves[name]
            elif shelf is not None:
                shelf.drop({entry.found.version for entry in entries})
            self._settle(name)
        return entries

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
