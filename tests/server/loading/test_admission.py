"""Models of unknown size: how many are tried at once, and that nobody waits for ever."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.base import ModelDir
from server.loading.admission import guess
from server.loading.memory_budget import LEAST, Budget, Claim, NoRoom, NotInMemory
from server.loading.trial.evidence import TrialCache
from server.loading.trial.pool import Trial, TrialPool

PATIENCE = 60.0
SOON = 0.1  #: seconds after which who has not come is held to wait


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


class Visit:
    """A stranger on a thread of its own, who stays until told to leave."""

    def __init__(self, threads: ThreadPoolExecutor, budget: Budget, size: int | None) -> None:
        self.came, self.leave = threading.Event(), threading.Event()
        self.done: Future[None] = threads.submit(self._stay, budget, size)

    def _stay(self, budget: Budget, size: int | None) -> None:
        with budget.admit_unknown(size):
            self.came.set()
            assert self.leave.wait(PATIENCE)

    @property
    def waits(self) -> bool:
        return not self.came.wait(SOON)

    def end(self) -> None:
        self.leave.set()
        self.done.result(PATIENCE)


@pytest.fixture
def visit(threads: ThreadPoolExecutor) -> Iterator[Callable[[Budget, int | None], Visit]]:
    made: list[Visit] = []

    def make(budget: Budget, size: int | None) -> Visit:
        made.append(Visit(threads, budget, size))
        return made[-1]

    yield make
    for each in made:
        each.leave.set()


def test_as_many_are_tried_as_fit(visit: Any) -> None:
    budget = Budget(10 * LEAST)
    held = budget.take(("held", ""), 4 * LEAST)
    first, second = visit(budget, 3 * LEAST), visit(budget, 3 * LEAST)
    assert first.came.wait(PATIENCE)
    assert second.came.wait(PATIENCE)
    third = visit(budget, LEAST)
    assert third.waits
    budget.release(held)
    assert third.came.wait(PATIENCE)


@pytest.mark.parametrize("size", [11 * LEAST, None], ids=["too large", "nobody knows"])
def test_what_may_not_fit_is_tried_alone_and_in_its_turn(visit: Any, size: int | None) -> None:
    budget = Budget(10 * LEAST)
    first = visit(budget, LEAST)
    assert first.came.wait(PATIENCE)
    alone = visit(budget, size)
    assert alone.waits
    late = visit(budget, LEAST)  # would fit, but so might others for ever
    assert late.waits
    first.end()
    assert alone.came.wait(PATIENCE)
    assert late.waits
    alone.end()
    assert late.came.wait(PATIENCE)


def test_without_a_limit_nobody_waits(visit: Any) -> None:
    budget = Budget()
    assert all(visit(budget, None).came.wait(PATIENCE) for _ in range(5))


def test_one_stranger_comes_on_top_and_what_others_need_is_kept(visit: Any, threads: ThreadPoolExecutor) -> None:
    budget = Budget(10 * LEAST, patience=0.2)
    first = visit(budget, 4 * LEAST)
    assert first.came.wait(PATIENCE)
    budget.release(budget.take(("a", ""), 10 * LEAST, evict=False))  # as ever: memory may exceed the budget by one
    second = visit(budget, 3 * LEAST)
    assert second.came.wait(PATIENCE)
    assert budget.take(("b", ""), 7 * LEAST, evict=False)
    taken = threads.submit(budget.take, ("c", ""), 2 * LEAST, evict=False)
    with pytest.raises(TimeoutError):
        taken.result(SOON)
    assert visit(budget, LEAST).waits  # and makes nobody wait for longer
    second.end()
    assert taken.result(PATIENCE).memory == 2 * LEAST


def test_the_guess_is_generous() -> None:
    assert guess(0) >= 2**20
    assert guess(10**9) >= 2 * 10**9


def test_small_models_are_tried_beside_each_other(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    both = threading.Barrier(2)

    class Pool(TrialPool):
        def try_load(self, *job: Any) -> Trial:
            both.wait(PATIENCE)
            return Trial(0.1, 0, batchable=True)

    tried = TrialCache(Pool(2, 1.0), Budget(2**30))
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").write_text("small")
    trials = [threads.submit(tried.trial, ModelDir.of(tmp_path / name), "echo", "model", {}) for name in "ab"]
    assert all(trial.result(PATIENCE) for trial in trials)


class Town:
    """A house of models that come and go on many threads; counts what would be in memory."""

    def __init__(self, limit: int) -> None:
        self.budget = Budget(limit, patience=0.05, evictable=self)
        self.lock = threading.Lock()
        self.memory = self.most = 0
        self.homes: list[Claim] = []

    def idle(self) -> Sequence[Claim]:
        with self.lock:
            return list(self.homes)

    def evict(self, claim: Claim) -> None:
        with self.lock:
            self.homes.remove(claim)
        threading.Timer(random.random() / 500, self.go, [claim]).start()

    def go(self, claim: Claim) -> None:
        self.add(-claim.memory)
        self.budget.release(claim)

    def add(self, memory: int) -> None:
        with self.lock:
            self.memory += memory
            self.most = max(self.most, self.memory)

    def load(self, number: int) -> bool:
        size = random.randint(1, 6) * LEAST
        in_worker = number % 5 == 0
        with self.budget.admit_unknown(None if in_worker else size):
            self.add(size)
            threading.Event().wait(random.random() / 500)
            claim = self.take(number, size) if in_worker else None
            if claim is None:
                self.add(-size)
        if not in_worker and (claim := self.take(number, size)):
            self.add(size)
        if claim is not None:
            with self.lock:
                self.homes.append(claim)
        return claim is not None

    def take(self, number: int, size: int) -> Claim | None:
        try:
            return self.budget.take((str(number), ""), size, evict=number % 3 != 0)
        except (NotInMemory, NoRoom):
            return None


def test_whoever_waits_for_whom_all_get_through_and_memory_is_bounded(threads: ThreadPoolExecutor) -> None:
    random.seed(7)
    town = Town(16 * LEAST)
    loads = [threads.submit(town.load, number) for number in range(300)]
    assert sum(load.result(PATIENCE) for load in loads) > 100
    assert town.most <= (16 + 6) * LEAST
