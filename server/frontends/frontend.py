"""One front process as the main process sees it: how it is started, stopped, and started again when it ends.

What one front process holds: copies of models, and for whom each answers.

    load --> the copy is there --> follow: routes to it --> follow: routes to another --> drop --> it is closed

Everything here happens under one lock, `Fronts`'.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from server.frontends.control import ControlClient
from server.loading.load_spec import LoadSpec
from server.runtime.child_process import ChildProcess
from server.telemetry.metrics import CounterSnapshot
from server.workers.import_names import SOURCE_ROOT
from server.workers.worker_pool import BackOff

log = logging.getLogger("kserve")

#: seconds without a sign of life; a library that loads a large file may keep the interpreter for long
HUNG = 60.0

_BOOT = (
    "import sys; descriptor, *path = sys.argv[1:]; sys.argv[1:] = []; "
    "sys.path += [entry for entry in path if entry not in sys.path]; "
    "from server.frontends.frontend_main import main; main(int(descriptor))"
)


class Frontend:
    """Number `number` of the front processes. All but `keep` is called under one lock, `Fronts`'."""

    def __init__(self, number: int, start: Mapping[str, Any], house: FrontendOwner) -> None:
        """`start` is what the process is told first."""
        self.number = number
        self.told: CounterSnapshot = {}  #: what it has counted, when it was asked last
        self.waiting: Mapping[str, int] = {}  #: requests in its queues then
        self.ended = threading.Event()  #: for good
        self._start = start
        self._house = house
        self._process: ChildProcess | None = None
        self._link: ControlClient | None = None  #: while it serves
        self.holdings: FrontendCopies | None = None  #: then
        self._counting: Future[None] | None = None
        self._asked = 0.0  #: when

    # its life, on a thread of its own

    def keep(self) -> None:
        """Run the process, and another one when it has ended, until the server stops."""
        back_off = BackOff()
        while not self._house.stopping.is_set():
            began = time.monotonic()
            try:
                self._run()
            except Exception:
                log.exception("process %d of the server cannot be kept", self.number)
            self._house.stopping.wait(back_off.pause(time.monotonic() - began))
        self.ended.set()

    def _run(self) -> None:
        path = [os.path.abspath(entry) for entry in (*sys.path, str(SOURCE_ROOT)) if entry]  # noqa: PTH100
        command = (sys.executable, "-P", "-u", "-X", f"polyserve_front={self.number}", "-c", _BOOT)
        child = ChildProcess("process", lambda end: (*command, str(end), *path), os.environ, _Lines().write)
        link = ControlClient(child)
        self._process = child
        if self._house.stopping.is_set():  # nobody else will end it
            child.kill()
        link.ask("start", **self._start).add_done_callback(lambda answer: self._started(link, answer))
        try:
            link.listen(self.count)
        finally:
            with self._house.lock:
                self._forget()
            if not self._house.stopping.is_set():
                child.forget_output()  # it is in the log already
                log.error("process %d of the server: %s; it is started again", self.number, child.cause_of_death())
            child.reap()

    def _started(self, link: ControlClient, answer: ControlAnswer) -> None:
        if answer.exception() is not None:
            return
        if why := answer.result()["error"]:
            log.error("process %d of the server cannot serve: %s", self.number, why)
            self.kill()
            return
        log.info("process %d of the server listens, too", self.number)
        with self._house.lock:
            self._link, self.holdings = link, FrontendCopies(self.number, link, self._house)
            for name in self._house.names():
                self.holdings.follow(name)

    def _forget(self) -> None:
        """The process has gone, with all that it held; what it counted stays."""
        self._link = self.holdings = None
        self._house.keep_counts(self.told)
        self.told, self.waiting = {}, {}

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def stop(self, grace: float) -> None:
        """Have it answer what it has, and end; one that does not serve yet ends at once."""
        if self._link is not None:
            self._link.ask("stop", grace=grace)
        else:
            self.kill()

    # what it has counted

    def count(self) -> Future[None] | None:
        """Ask for its counts; once that is done, `told` and `waiting` have them. One that never answers is ended."""
        link = self._link
        if link is None:
            return None
        if self._counting is not None and not self._counting.done():
            if time.monotonic() > self._asked + HUNG:
                log.error("process %d of the server hangs, and is killed", self.number)
                self.kill()
            return self._counting
        self._counting, self._asked = done, _ = Future[None](), time.monotonic()

        def counted(answer: ControlAnswer) -> None:
            with self._house.lock:
                if answer.exception() is None and self._link is link:
                    self.told, self.waiting = answer.result()["counts"], answer.result()["waiting"]
            done.set_result(None)

        link.ask("count").add_done_callback(counted)
        return done


class _Lines:
    """What the process prints goes where this one's lines go, whole."""

    def __init__(self) -> None:
        self._begun = b""

    def write(self, printed: bytes) -> None:
        whole, end, self._begun = (self._begun + printed).rpartition(b"\n")
        if whole:
            sys.stderr.flush()
            os.write(2, whole + end)


log = logging.getLogger("kserve")

#: which copy answers for each version of a name (None: for the name alone)
CopyRoutes: TypeAlias = dict[str | None, int]
ControlAnswer: TypeAlias = Future[Mapping[str, Any]]


@dataclass
class _Copy:
    """A copy of a model, there or on its way."""

    recipe: LoadSpec
    loading: ControlAnswer

    @property
    def ready(self) -> bool:
        return self.loading.done() and self.loading.exception() is None and not self.loading.result()["error"]


class FrontendOwner(Protocol):
    """What all of them live in: `fronts.Fronts`."""

    lock: threading.RLock
    stopping: threading.Event

    def names(self) -> Iterable[str]: ...

    def wanted(self, name: str) -> Mapping[str | None, LoadSpec]: ...

    def is_withdrawn(self, name: str) -> bool: ...

    def is_coming(self, number: int) -> bool: ...

    def keep_counts(self, told: CounterSnapshot) -> None: ...


class FrontendCopies:
    """Of one process, from its start to its end."""

    def __init__(self, number: int, link: ControlClient, house: FrontendOwner) -> None:
        self._number = number
        self._link = link
        self._house = house
        self._copies: dict[int, _Copy] = {}
        self._routes: dict[str, CopyRoutes] = {}
        self._leaving: dict[str, set[ControlAnswer]] = {}

    def answers_for(self, name: str) -> bool:
        """Whether it has a copy that answers for the name, or a version of it."""
        return bool(self._routes.get(name))

    def follow(self, name: str) -> ControlAnswer | None:
        """Let it hold, and answer for, what it should under this name. What it was told last of that, if anything."""
        wanted = self._house.wanted(name)
        for recipe in wanted.values():
            self.load(recipe)
        routes = {version: recipe.number for version, recipe in wanted.items() if self._is_ready(recipe)}
        told = None
        if routes != self._routes.get(name, {}):
            self._routes[name] = routes
            told = self._link.ask("routes", name=name, routes=list(routes.items()))
        if not self._house.is_withdrawn(name):
            self._let_go(name, {recipe.number for recipe in wanted.values()})
        return told

    def load(self, recipe: LoadSpec) -> ControlAnswer:
        """Have it load a copy, unless it has, or is at it."""
        if (copy := self._copies.get(recipe.number)) is not None:
            return copy.loading
        loading = self._link.ask("load", recipe=recipe.to_fields())
        self._copies[recipe.number] = _Copy(recipe, loading)
        loading.add_done_callback(lambda answer: self._loaded(recipe, answer))  # which may be now
        return loading

    def _is_ready(self, recipe: LoadSpec) -> bool:
        copy = self._copies.get(recipe.number)
        return copy is not None and copy.ready

    def _loaded(self, recipe: LoadSpec, answer: ControlAnswer) -> None:
        if answer.exception() is None and (why := answer.result()["error"]):
            log.warning("model %s has no copy in process %d: %s", recipe.name, self._number, why)
        with self._house.lock:
            self.follow(recipe.name)

    def _let_go(self, name: str, wanted: set[int]) -> None:
        """Of the copies of a name that answer nobody any more; those that are on their way are let go when there."""
        for number, copy in list(self._copies.items()):
            if copy.recipe.name != name or number in wanted or self._house.is_coming(number):
                continue
            if copy.ready:
                closed = self._link.ask("drop", number=number)
                leaving = self._leaving.setdefault(name, set())
                leaving.add(closed)
                closed.add_done_callback(leaving.discard)
            if copy.loading.done():
                del self._copies[number]

    def leaving(self, name: str) -> Sequence[ControlAnswer]:
        """Copies of the name that are not closed yet."""
        return list(self._leaving.get(name, ()))
