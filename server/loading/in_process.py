"""A model into this process: tried in a child first, its memory claimed, then loaded for real."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from adapters.base import Adapter, LoadError, ModelDir
from adapters.registry import Choice
from server.loading.files import NO_FILES, FolderStamp, stamp_of
from server.loading.lookout import NoAnswer, within
from server.loading.memory_budget import Budget, Room
from server.loading.patient_pool import PATIENCE
from server.loading.trial.evidence import TrialCache
from server.loading.trial.pool import Trial
from server.runtime import cpu
from server.workers.messages import Hello, WorkerModel


class Placed(NamedTuple):
    """A model where it runs, and what was found out about it first."""

    adapter: Adapter
    trial: Trial | Hello | None
    model: WorkerModel | None = None  #: how it was loaded into this process; None: it lives in others
    stamp: FolderStamp = NO_FILES  #: of its files, from before


class NeedsWorker(Exception):
    """Loading the model told why this process must not serve it (the message, as `Match.carries`)."""


class InProcessLoader:
    """Loads models that the adapters' own code may load here. Thread-safe.

    `may_import` is set once this process may import frameworks: two threads that import packages with circular
    imports at the same time can see each other's half-made modules, so first loads go one at a time, and after KServe.
    """

    def __init__(self, trials: TrialCache, budget: Budget, may_import: threading.Event, timeout: float = 300.0) -> None:
        """`timeout`: seconds for the load of what has been tried; a disk that hangs then takes a thread, no more."""
        self._timeout = timeout
        self._trials = trials
        self._budget = budget
        self._may_import = may_import
        self._first = threading.Lock()
        self._imported: set[tuple[str, ...]] = set()

    def load(
        self, directory: ModelDir, choice: Choice, options: Mapping[str, Any], room: Room, *, native: bool = True
    ) -> Placed:
        """Try the model, unless these very files have been tried, claim what it takes, and load it.

        `native`: what may take the process along belongs elsewhere.

        Raises:
            LoadError: it cannot be loaded, with the reason.
            NotInMemory: there is no room for it.
            NeedsWorker: it belongs elsewhere.
        """
        trial = self._trials.trial(directory, choice.adapter.name, choice.match.file, options)
        if native and trial is not None and trial.carries:
            raise NeedsWorker(trial.carries)
        stamp = self._trials.stamp(directory, trial) if trial is not None else stamp_of(directory)
        room.take(trial.memory_bytes if trial else self._budget.known(room.key) or stamp.size)
        try:
            adapter, directory = self._load_tried(directory, choice, options, trial, room)
        except BaseException:
            room.leave()
            raise
        if native and adapter.carries:
            adapter.close()
            room.leave()
            raise NeedsWorker(adapter.carries)
        return Placed(adapter, trial, WorkerModel(choice.adapter.name, directory, choice.match.file, options), stamp)

    def _load_tried(
        self, directory: ModelDir, choice: Choice, options: Mapping[str, Any], trial: Trial | None, room: Room
    ) -> tuple[Adapter, ModelDir]:
        """Load; what the trial has proved of these very bytes is not proved again. The directory tells it, then."""
        if trial is None or not trial.evidence or not cpu.as_in_children():
            return self._load_alone_first(directory, choice, options, room), directory
        proved = directory.kept(evidence=trial.evidence)
        adapter = self._load_alone_first(proved, choice, options, room)
        if self._trials.unchanged(directory, trial):
            return adapter, proved
        adapter.close()
        return self._load_alone_first(directory, choice, options, room), directory

    def _load_alone_first(self, directory: ModelDir, choice: Choice, options: Mapping[str, Any], room: Room) -> Adapter:
        self._may_import.wait()
        load = partial(choice.adapter.load, directory, choice.match.file, options)
        imports = (*choice.adapter.requires, *choice.match.requires)
        if imports in self._imported:
            return self._in_time(load, room)
        alone = self._first.acquire(timeout=PATIENCE)  # whoever has it for longer has imported, and waits for his disk
        try:
            if imports not in self._imported:  # another thread may have been the first while this one waited
                adapter = self._in_time(load, room)
                self._imported.add(imports)
                return adapter
        finally:
            if alone:
                self._first.release()
        return self._in_time(load, room)

    def _in_time(self, load: Callable[[], Adapter], room: Room) -> Adapter:
        """
        Raises:
            LoadError: as `load`; or it takes longer than it may. It is left behind with what it claimed of the memory,
                until it ends after all, and is closed then.
        """
        loaded: list[Adapter] = []
        ending = threading.Lock()
        ended = False
        give_back: list[Callable[[], None]] = []  #: once it is left behind

        def work() -> None:
            nonlocal ended
            try:
                loaded.append(load())
            finally:
                with ending:
                    ended = True
                with contextlib.ExitStack() as late:
                    late.callback(lambda: [each() for each in give_back])
                    for adapter in loaded if give_back else ():
                        adapter.close()

        try:
            within(self._timeout, work)
        except NoAnswer as error:
            with ending:
                if not ended:
                    give_back.append(room.leave_behind())
            if give_back or not loaded:
                raise LoadError(
                    f"loading it took longer than {self._timeout:g} s (--load_timeout), and its trial had not: its "
                    "disk, or what is mounted there, hangs"
                ) from error
        return loaded[0]
