"""One directory that is, was or should be served: its state, why, and the model while there is one.

The versions of one model together say which of them answers for its name, a number or a label.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from server.inference.model import ServedModel
from server.loading.catalog import Found, older_versions
from server.loading.load_spec import LoadSpec


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
    of_language: bool | None = None  #: OpenAI's API has routes to it; None: it was never loaded
    load_spec: LoadSpec | None = None  #: how another process can load what this one has

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
        pool = self.model.pool if self.model is not None else None
        if pool is not None and pool.down:
            return State.UNAVAILABLE, pool.down
        if self.model is None and self.found.source is not None and self.found.source.status:
            return self.state, self.found.source.status
        degraded = pool.degraded if pool is not None else ""
        return self.state, "; ".join(filter(None, (self.reason, degraded)))


#: what a model's folder without versions is called where clients have to give a number: Triton's and TensorFlow
#: Serving's own for the first, which their clients pin
FIRST = "1"


class ModelVersions:
    """The versions of one model, and which of them answers whom. Changed under the store's lock only."""

    def __init__(self) -> None:
        self.states: dict[str, ModelState] = {}  #: by version, oldest first; the version of a model without any is ""
        self.labels: dict[str, str] = {}  #: label -> version, "" for a folder without any

    def put(self, state: ModelState) -> None:
        """A version has come to be in this state."""
        states = {**self.states, state.found.version: state}
        self.states = dict(sorted(states.items(), key=lambda item: int(item[0] or -1)))

    def drop(self, versions: Collection[str]) -> None:
        """Forget versions, not all. Readers may be going through the others, without the lock."""
        self.states = {version: state for version, state in self.states.items() if version not in versions}

    @property
    def newest(self) -> ModelState:
        """The newest version that serves, else the newest: what a request is for that names no version.

        One that was evicted counts as serving: which version answers must not depend on the memory.
        """
        if len(every := self.states) == 1:  # as nearly always, and probes ask it of all models
            return next(iter(every.values()))
        states = self._main
        serving = [state for state in states if state.available]
        return (serving or states)[-1]

    @property
    def _main(self) -> list[ModelState]:
        """The versions that may answer for the name: not those that run beside another, while there is one."""
        states = list(self.states.values())
        return [state for state in states if state.found.shadow is None] or states

    @property
    def shadow(self) -> ModelState | None:
        """The version that runs beside the one that serves."""
        beside = [state for state in self.states.values() if state.found.shadow is not None and state.model is not None]
        return beside[-1] if beside and beside[-1] is not self.newest else None

    def of(self, version: str) -> ModelState | None:
        """The version of that number or label."""
        number = version.removesuffix(".0")  # TorchServe's clients have a point in theirs
        if number.isascii() and number.isdecimal():
            version = number.lstrip("0") or "0"
        if version in self.labels:
            version = self.labels[version] or FIRST
        return self.numbers().get(version)

    def numbers(self) -> dict[str, ModelState]:
        """The versions by the number that asks for them, oldest first.

        A folder without versions is version 1 as long as no other is there: clients of Triton and TensorFlow Serving
        pin that number, and there is nothing else that they could mean by it.
        """
        if list(self.states) == [""]:
            return {FIRST: self.states[""]}
        return {version: state for version, state in self.states.items() if version}

    @property
    def need_fallback(self) -> bool:
        """Whether the newest version has failed, none serves, and none is on its way."""
        states = self._main
        return states[-1].failed and not any(state.available or state.busy for state in states)

    def next_older(self) -> Found | None:
        """The newest older version that was not tried yet. Looks at the folder."""
        states = list(self.states.values())
        failed = {state.found.version for state in states if state.failed}
        return next((older for older in older_versions(states[-1].found) if older.version not in failed), None)
