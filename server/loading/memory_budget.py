"""The memory budget: what each loaded model takes, and who makes room for the next.

    a load --> Room.take(bytes) --> it fits --> Claim, held until the model is closed and its memory given back
                               `--> the least recently used idle models are evicted, and waited for
                                    `--> nobody can go --> NoRoom: the model stays EVICTED, its callers get a 503

The budget is about models. The interpreter and the frameworks, which are there once however many models use them,
come on top. A model's size is not known before something has loaded it, a trial child or its own worker: `admission.py`
sees to it that memory stays within the budget and one model.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Protocol, TypeAlias

from adapters.base import LoadError
from server.config.model_config import ModelConfig
from server.loading.admission import UnknownSizes
from server.text import mebibytes

#: a model's name and version
ModelKey: TypeAlias = tuple[str, str]

NOT_YET = "nobody has asked for it yet: the first request loads it"

LEAST = 64 * 1024  #: bytes that a model counts for, however little it was seen to take
PATIENCE = 5.0  #: seconds that a load waits for models in use to become idle
_LEAVING = 60.0  #: seconds for one that goes: a request may have reached it at the last moment
_POLL = 0.02  #: seconds between two looks at who is idle


class Demand(Enum):
    """How much a model is wanted in memory."""

    LOOK = "look"  #: find out what it is; a request will load it (`--load lazy`)
    TRY = "try"  #: find out whether it works, and keep it if there is room
    LOAD = "load"  #: now: others make room


class NotInMemory(LoadError):
    """The model can be served as far as is known, but is not in memory now: a request will bring it."""

    def __init__(self, reason: str, memory: int = 0) -> None:
        super().__init__(reason)
        self.memory = memory  #: bytes; 0: not known yet
        self.config = ModelConfig()


class NoRoom(NotInMemory):
    """The budget is full, and nobody can go."""


@dataclass(eq=False)
class Claim:
    """The part of the budget that one loaded model holds."""

    key: ModelKey
    memory: int  #: bytes
    pinned: bool
    leaving: bool = False  #: it is being closed
    left_behind: bool = False  #: of a load that was given up, whose thread holds it still


class Evictable(Protocol):
    """Where the models are."""

    def idle(self) -> Sequence[Claim]:
        """The claims of models that could go, the least recently used first."""

    def evict(self, claim: Claim) -> None:
        """Let this model go; its claim is released once its memory is back."""


class _NothingLoaded:
    """Before there is a repository, nobody can go."""

    def idle(self) -> Sequence[Claim]:
        return ()

    def evict(self, claim: Claim) -> None:
        raise AssertionError(f"nobody offered {claim.key}")


@dataclass(eq=False)
class Budget:
    """Who holds how much; thread-safe. Without a `limit` (bytes) everything fits."""

    limit: int | None = None
    patience: float = PATIENCE
    evictable: Evictable = field(default_factory=_NothingLoaded)  #: `attach` says later where the models are
    _claims: set[Claim] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)  #: its lock may be taken again
    _known: dict[ModelKey, int] = field(default_factory=dict)  #: what models took when they were loaded last

    def __post_init__(self) -> None:
        limit = self.limit or 0
        self._unknown = UnknownSizes(self._changed, lambda: limit - self.used, limit)

    def attach(self, evictable: Evictable) -> None:
        """From now on these could make room. Loads may be under way already, which ask from now on."""
        self.evictable = evictable

    @property
    def used(self) -> int:
        """Bytes that loaded models hold, those on their way in and out included."""
        with self._changed:
            return sum(claim.memory for claim in self._claims)

    def known(self, key: ModelKey) -> int:
        """What the model took when it was loaded last, in bytes; 0: it never was."""
        return self._known.get(key, 0)

    def release(self, claim: Claim) -> None:
        """The model is gone, and its memory given back."""
        with self._changed:
            self._claims.discard(claim)
            self._changed.notify_all()

    def leave_behind(self, claim: Claim) -> None:
        """Its load was given up: until it ends, what it holds counts for every other, of the same model, too."""
        with self._changed:
            claim.left_behind = True

    def admit_unknown(self, size: int | None = None) -> contextlib.AbstractContextManager[None]:
        """While something loads a model of unknown size: beside others if it should take no more than `size` bytes.

        Who has no `size` to offer may `take` meanwhile.
        """
        return contextlib.nullcontext() if self.limit is None else self._unknown.trying(size)

    def take(self, key: ModelKey, memory: int, *, pinned: bool = False, evict: bool = True) -> Claim:
        """Claim so many bytes; blocks while others go, and for `patience` when nobody does.

        What this very model holds already will go anyway, and does not count.

        Raises:
            LoadError: it can never fit.
            NotInMemory: it does not fit, and `evict` is false.
            NoRoom: nobody can go.
        """
        memory = max(memory, LEAST)
        until = time.monotonic() + self.patience
        with self._changed:
            self._known[key] = memory
            self._refuse_giants(key, memory)
            while (missing := self._missing(key, memory)) + self._unknown.reserved > 0:
                if missing <= 0:
                    self._unknown.wait()
                    until = time.monotonic() + self.patience
                    continue
                if not evict:
                    raise NotInMemory(f"the memory budget ({self._shown}) is full: a request will load it", memory)
                self._make_room(key, missing)
                if self._missing(key, memory) > 0:
                    until = self._wait(memory, until)
            claim = Claim(key, memory, pinned)
            self._claims.add(claim)
            return claim

    def correct(self, claim: Claim, memory: int) -> None:
        """The model turned out to take so many bytes."""
        with self._changed:
            claim.memory = self._known[claim.key] = max(memory, LEAST)

    def _missing(self, key: ModelKey, memory: int) -> int:
        if self.limit is None:
            return 0
        others = sum(claim.memory for claim in self._claims if claim.key != key or claim.leaving or claim.left_behind)
        return others + memory - self.limit

    def _wait(self, memory: int, until: float) -> float:
        """Until something changes; until when (monotonic) the next wait may last: while others go, time stands still.

        Raises:
            NoRoom: that is over.
        """
        if self._leaving():
            if not self._changed.wait(_LEAVING):
                raise NoRoom(f"{self._wants(memory)} is full, and what was to make room is still in use", memory)
            return time.monotonic() + self.patience
        if not self._changed.wait(_POLL) and time.monotonic() > until:
            raise NoRoom(f"{self._wants(memory)} is full, and every model in it is in use or pinned", memory)
        return until

    def _leaving(self) -> int:
        return sum(claim.memory for claim in self._claims if claim.leaving)

    def _make_room(self, key: ModelKey, missing: int) -> None:
        missing -= self._leaving()
        for claim in self.evictable.idle():
            if missing <= 0:
                return
            if claim.key != key and not claim.leaving and claim in self._claims:
                missing -= claim.memory
                claim.leaving = True
                self.evictable.evict(claim)

    def _refuse_giants(self, key: ModelKey, memory: int) -> None:
        if self.limit is None:
            return
        if memory > self.limit:
            raise LoadError(f"it takes {mebibytes(memory)}, more than the whole memory budget ({self._shown})")
        pinned = sum(claim.memory for claim in self._claims if claim.pinned and claim.key != key)
        if memory + pinned > self.limit:
            raise NoRoom(f"{self._wants(memory)} is taken by pinned models ({mebibytes(pinned)})", memory)

    def _wants(self, memory: int) -> str:
        return f"it takes {mebibytes(memory)}, but the memory budget ({self._shown})"

    @property
    def _shown(self) -> str:
        return mebibytes(self.limit or 0)


@dataclass(eq=False)
class Room:
    """The room that one load asks for."""

    budget: Budget
    key: ModelKey
    demand: Demand
    pinned: bool
    claim: Claim | None = None

    def enter(self) -> None:
        """
        Raises:
            NotInMemory: nobody wants the model in memory yet.
        """
        if self.demand is Demand.LOOK and not self.pinned:
            raise NotInMemory(NOT_YET)

    def take(self, memory: int) -> None:
        """Claim so many bytes, or correct what was claimed to that.

        Raises:
            LoadError, NotInMemory, NoRoom.
        """
        if self.claim is not None:
            self.budget.correct(self.claim, memory)
        else:
            evict = self.pinned or self.demand is Demand.LOAD
            self.claim = self.budget.take(self.key, memory, pinned=self.pinned, evict=evict)

    def take_known(self) -> bool:
        """Claim what the model took last time; whether that is known."""
        if memory := self.budget.known(self.key):
            self.take(memory)
        return bool(memory)

    def leave(self) -> None:
        """The load failed."""
        if self.claim is not None:
            self.budget.release(self.claim)
            self.claim = None

    def leave_behind(self) -> Callable[[], None]:
        """The load was given up, and no thread can be ended: what it claimed is given back by a call, when it ends."""
        claim, self.claim = self.claim, None
        if claim is None:
            return lambda: None
        self.budget.leave_behind(claim)
        return partial(self.budget.release, claim)
