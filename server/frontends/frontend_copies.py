"""Which copies of models one front process holds, and for whom each answers.

    load --> the copy is there --> reconcile: routes to it --> reconcile: routes to another --> drop --> it is closed

All of it happens under one lock, the owner's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from server.frontends.control_client import ControlAnswer, ControlClient
from server.loading.load_spec import LoadSpec
from server.telemetry.metrics import CounterSnapshot

log = logging.getLogger("kserve")

#: the number of the copy that answers for each version of a name (None: for the name alone)
CopyRoutes: TypeAlias = dict[str | None, int]


class FrontendOwner(Protocol):
    """What all front processes belong to: `manager.FrontendManager`."""

    lock: threading.RLock
    stopping: threading.Event

    def names(self) -> Iterable[str]: ...

    def wanted(self, name: str) -> Mapping[str | None, LoadSpec]: ...

    def is_withdrawn(self, name: str) -> bool: ...

    def is_incoming(self, number: int) -> bool: ...

    def keep_counts(self, counts: CounterSnapshot) -> None: ...


@dataclass
class _Copy:
    """A copy of a model, there or on its way."""

    spec: LoadSpec
    loading: ControlAnswer

    @property
    def ready(self) -> bool:
        return self.loading.done() and self.loading.exception() is None and not self.loading.result()["error"]


class FrontendCopies:
    """The copies of one process, from its start to its end."""

    def __init__(self, number: int, control: ControlClient, owner: FrontendOwner) -> None:
        """`number` is the process's, in what is logged."""
        self._number = number
        self._control = control
        self._owner = owner
        self._copies: dict[int, _Copy] = {}
        self._routes: dict[str, CopyRoutes] = {}
        self._closing: dict[str, set[ControlAnswer]] = {}

    def answers_for(self, name: str) -> bool:
        """Whether it has a copy that answers for the name, or a version of it."""
        return bool(self._routes.get(name))

    def reconcile(self, name: str) -> ControlAnswer | None:
        """Let it hold, and answer for, what it should under this name: its answer, where its routes change by that."""
        wanted = self._owner.wanted(name)
        for spec in wanted.values():
            self.load(spec)
        routes = {version: spec.number for version, spec in wanted.items() if self._is_ready(spec)}
        routed = None
        if routes != self._routes.get(name, {}):
            self._routes[name] = routes
            routed = self._control.request("routes", name=name, routes=list(routes.items()))
        if not self._owner.is_withdrawn(name):
            self._drop_unwanted(name, {spec.number for spec in wanted.values()})
        return routed

    def load(self, spec: LoadSpec) -> ControlAnswer:
        """Have it load a copy, unless it has, or is at it."""
        if (copy := self._copies.get(spec.number)) is not None:
            return copy.loading
        loading = self._control.request("load", spec=spec.to_fields())
        self._copies[spec.number] = _Copy(spec, loading)
        loading.add_done_callback(lambda answer: self._loaded(spec, answer))  # which may be now
        return loading

    def _is_ready(self, spec: LoadSpec) -> bool:
        copy = self._copies.get(spec.number)
        return copy is not None and copy.ready

    def _loaded(self, spec: LoadSpec, answer: ControlAnswer) -> None:
        if answer.exception() is None and (why := answer.result()["error"]):
            log.warning("model %s has no copy in process %d: %s", spec.name, self._number, why)
        with self._owner.lock:
            self.reconcile(spec.name)

    def _drop_unwanted(self, name: str, wanted: set[int]) -> None:
        """Close the copies of a name that answer nobody any more; those on their way are closed once they are there."""
        for number, copy in list(self._copies.items()):
            if copy.spec.name != name or number in wanted or self._owner.is_incoming(number):
                continue
            if copy.ready:
                closed = self._control.request("drop", number=number)
                closing = self._closing.setdefault(name, set())
                closing.add(closed)
                closed.add_done_callback(closing.discard)
            if copy.loading.done():
                del self._copies[number]

    def closing(self, name: str) -> Sequence[ControlAnswer]:
        """The answers that come when the copies of a name that are not closed yet are."""
        return list(self._closing.get(name, ()))
