"""One directory that is, was or should be served: its state, why, and the model while there is one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from server.catalog import Found
from server.model import ServedModel
from server.recipe import Recipe
from server.whole import WholeModel
from server.workers.remote import pool_of

#: models that take tensors, and those that read whole requests
Served: TypeAlias = ServedModel | WholeModel


class State(StrEnum):
    """Triton's words for a model's state, and one more: what went to make room comes back when it is asked for."""

    UNAVAILABLE = "UNAVAILABLE"
    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    EVICTED = "EVICTED"


@dataclass(frozen=True)
class Entry:
    """A version of a model (or a model without versions)."""

    found: Found
    state: State = State.LOADING
    reason: str = ""
    model: Served | None = None
    seconds: float = 0.0  #: that loading took
    memory: int = 0  #: bytes that it takes when it is loaded; 0: not known yet
    pinned: bool = False  #: it never makes room for others
    loading: bool = False  #: it is being loaded, for the first time or anew
    failed: bool = False  #: it could not be loaded
    recipe: Recipe | None = None  #: how another process can load what this one has

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
        return self.state, self.reason or (pool.limping if pool is not None else "")


class Shelf:
    """The versions of one model, and which of them answers whom. Changed under the repository's lock only."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}  #: by version, oldest first; the version of a model without any is ""
        self.labels: dict[str, str] = {}  #: label -> version

    def put(self, entry: Entry) -> None:
        self.entries[entry.found.version] = entry
        self.entries = dict(sorted(self.entries.items(), key=lambda item: int(item[0] or -1)))

    def drop(self, versions: Collection[str]) -> None:
        """Forget versions, not all. Readers may be going through the others, without the lock."""
        self.entries = {version: entry for version, entry in self.entries.items() if version not in versions}

    @property
    def newest(self) -> Entry:
        """The newest version that serves, else the newest: what a request is for that names no version.

        One that was evicted counts as serving: which version answers must not depend on the memory.
        """
        entries = list(self.entries.values())
        serving = [entry for entry in entries if entry.available]
        return (serving or entries)[-1]

    def of(self, version: str) -> Entry | None:
        """The version of that number or label."""
        if version.isascii() and version.isdecimal():
            version = version.lstrip("0") or "0"
        return self.entries.get(self.labels.get(version, version)) if version else None
