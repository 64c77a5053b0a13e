"""A model into this process: tried first, its memory claimed, and one first import at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.base import LoadError, Match, ModelDir, Rank
from adapters.registry import Choice
from server.loading.files import stamp_of
from server.loading.in_process import InProcessLoader, NeedsWorker
from server.loading.memory_budget import LEAST, Budget, Demand, NotInMemory, Room
from server.loading.trial.evidence import TrialCache
from server.loading.trial.pool import Trial, TrialPool
from tests.patience import wait_for
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")

CHOICE = Choice(EchoAdapter, Match(Rank.CONTENT, "model.echo"))


class Trials(TrialPool):
    def __init__(self) -> None:
        super().__init__(1, 1.0)

    def try_load(self, *job: Any) -> Trial:
        return Trial(0.1, 3 * LEAST, batchable=True)


class Parts:
    def __init__(self, trials: TrialPool | None, units: int = 10) -> None:
        self.budget = Budget(units * LEAST, patience=0.0)
        self.may_import = threading.Event()
        self.loader = InProcessLoader(TrialCache(trials, self.budget), self.budget, self.may_import)

    def room(self, name: str = "a", demand: Demand = Demand.LOAD) -> Room:
        return Room(self.budget, (name, ""), demand, pinned=False)


@pytest.fixture
def directory(tmp_path: Path) -> ModelDir:
    (tmp_path / "model.echo").write_text("echo")
    return ModelDir.of(tmp_path)


def test_a_model_holds_what_its_trial_took(directory: ModelDir) -> None:
    parts = Parts(Trials())
    parts.may_import.set()
    held = parts.room()
    placed = parts.loader.load(directory, CHOICE, {}, held)
    assert held.claim is not None
    assert held.claim.memory == 3 * LEAST
    assert placed.stamp.is_still(stamp_of(directory))
    assert placed.model is not None
    assert (placed.model.adapter, placed.model.file) == ("echo", "model.echo")


def test_without_a_trial_it_holds_what_its_files_take(directory: ModelDir) -> None:
    parts = Parts(None)
    parts.may_import.set()
    (directory.path / "weights").write_bytes(bytes(2 * LEAST))
    room = parts.room()
    parts.loader.load(directory, CHOICE, {}, room)
    assert room.claim is not None
    assert room.claim.memory == 2 * LEAST + len("echo")


def test_what_fails_holds_nothing(directory: ModelDir) -> None:
    parts = Parts(None)
    parts.may_import.set()
    (directory.path / "model.echo").write_text("echo refuse")
    with pytest.raises(LoadError, match="is refused"):
        parts.loader.load(directory, CHOICE, {}, parts.room())
    assert parts.budget.used == 0


def test_without_room_it_is_not_loaded(directory: ModelDir) -> None:
    parts = Parts(Trials(), units=5)
    parts.may_import.set()
    parts.loader.load(directory, CHOICE, {}, parts.room())
    EchoAdapter.begun.clear()
    with pytest.raises(NotInMemory):
        parts.loader.load(directory, CHOICE, {}, parts.room("b", Demand.TRY))
    assert not EchoAdapter.begun


def test_first_loads_go_one_at_a_time_and_only_once_it_may_import(directory: ModelDir) -> None:
    parts = Parts(None)
    EchoAdapter.gate.clear()
    (directory.path / "model.echo").write_text("echo wait")
    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(parts.loader.load, directory, CHOICE, {}, parts.room(name)) for name in "ab"]
        wait_for(lambda: parts.budget.used == 2 * LEAST)
        assert not EchoAdapter.begun
        parts.may_import.set()
        wait_for(lambda: EchoAdapter.begun)
        assert len(EchoAdapter.begun) == 1
        EchoAdapter.gate.set()
        assert all(load.result(60) for load in loads)
    assert len(EchoAdapter.begun) == 2


def test_a_load_that_hangs_is_given_up_and_holds_nobody(directory: ModelDir, tmp_path: Path) -> None:
    """Its trial went well, and then the disk hung: the first of its framework, for which others' first loads wait."""
    parts = Parts(None)
    parts.may_import.set()
    EchoAdapter.gate.clear()
    (directory.path / "model.echo").write_text("echo wait")
    parts.loader._timeout = 0.1
    with pytest.raises(LoadError, match=r"longer than 0.1 s \(--load_timeout\), and its trial had not: its disk"):
        parts.loader.load(directory, CHOICE, {}, parts.room())
    assert parts.budget.used == LEAST  # its thread may hold that still
    sound = tmp_path / "sound"
    sound.mkdir()
    (sound / "model.echo").write_text("echo")
    parts.loader._timeout = 60.0
    placed = parts.loader.load(ModelDir.of(sound), CHOICE, {}, parts.room("b"))
    assert parts.budget.used == 2 * LEAST
    EchoAdapter.gate.set()
    wait_for(lambda: len(EchoAdapter.made) == 2 and EchoAdapter.made[-1].closed)
    assert isinstance(placed.adapter, EchoAdapter)
    assert not placed.adapter.closed
    wait_for(lambda: parts.budget.used == LEAST)


class CarryingTrials(Trials):
    def try_load(self, *job: Any) -> Trial:
        return Trial(0.1, LEAST, batchable=True, carries="may hold the interpreter")


@pytest.mark.parametrize("trials", [CarryingTrials(), None], ids=["trial", "load"])
def test_what_loading_told_keeps_a_model_out(directory: ModelDir, trials: TrialPool | None) -> None:
    """By a trial, or where there are none by the load itself; what was claimed of the memory is given back."""
    directory.file("model.echo").write_text("echo holds")
    parts = Parts(trials)
    parts.may_import.set()
    held = parts.room()
    with pytest.raises(NeedsWorker, match="may hold the interpreter"):
        parts.loader.load(directory, CHOICE, {}, held)
    assert held.claim is None
    assert all(adapter.closed for adapter in EchoAdapter.made)
    assert parts.loader.load(directory, CHOICE, {}, parts.room(), native=False)


def test_what_a_load_that_was_given_up_holds_counts_for_the_same_model(directory: ModelDir) -> None:
    """Loaded again and again, one that hangs would fill the memory by the threads that it leaves behind."""
    parts = Parts(Trials(), units=5)
    parts.may_import.set()
    EchoAdapter.gate.clear()
    (directory.path / "model.echo").write_text("echo wait")
    parts.loader._timeout = 0.1
    with pytest.raises(LoadError, match="longer than"):
        parts.loader.load(directory, CHOICE, {}, parts.room())
    with pytest.raises(NotInMemory):
        parts.loader.load(directory, CHOICE, {}, parts.room())
    assert parts.budget.used == 3 * LEAST
    EchoAdapter.gate.set()
    wait_for(lambda: parts.budget.used == 0)
