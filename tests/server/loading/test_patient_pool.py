"""Whoever takes long lends his place to the next, where there is memory; nobody else does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from server.loading import patient_pool
from server.loading.patient_pool import PatientPool
from tests.patience import wait_for

FOR_EVER = 10**6


class Tasks:
    """That begin, and end when they are let."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.gates: dict[int, threading.Event] = {}

    def task(self, number: int) -> Callable[[], int]:
        self.gates[number] = threading.Event()

        def work() -> int:
            self.begun.append(number)
            self.gates[number].wait()
            return number

        return work


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    made = Tasks()
    yield made
    for gate in made.gates.values():
        gate.set()


def begin(pool: PatientPool, tasks: Tasks, count: int) -> list[Future[int]]:
    return [pool.submit(tasks.task(number)) for number in range(count)]


def test_what_waits_is_begun_by_the_thread_that_has_ended(tasks: Tasks) -> None:
    pool = PatientPool(1, "load", FOR_EVER, lambda: True)
    first = pool.submit(tasks.task(0))
    others = [pool.submit(threading.get_ident) for _ in range(20)]
    first.add_done_callback(lambda future: others.append(_at_once(threading.get_ident())))
    tasks.gates[0].set()
    assert len({each.result() for each in others}) == 1


def _at_once(result: int) -> Future[int]:
    future: Future[int] = Future()
    future.set_result(result)
    return future


def test_so_many_at_a_time_in_their_order(tasks: Tasks) -> None:
    pool = PatientPool(2, "load", FOR_EVER, lambda: True)
    futures = begin(pool, tasks, 4)
    wait_for(lambda: sorted(tasks.begun) == [0, 1])
    tasks.gates[1].set()
    assert futures[1].result() == 1
    wait_for(lambda: sorted(tasks.begun) == [0, 1, 2])  # and not the one behind it
    for number in (0, 2, 3):
        tasks.gates[number].set()
    assert [each.result() for each in futures] == [0, 1, 2, 3]
    assert sorted(tasks.begun) == [0, 1, 2, 3]


def test_who_takes_long_keeps_nobody(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_pool, "MOST_LENT", 3)
    pool = PatientPool(1, "load", 0.0, lambda: True)
    futures = begin(pool, tasks, 6)
    wait_for(lambda: sorted(tasks.begun) == [0, 1, 2, 3])  # of which three are slow, which is all that may be
    tasks.gates[3].set()
    assert futures[3].result() == 3
    wait_for(lambda: sorted(tasks.begun) == [0, 1, 2, 3, 4])
    for gate in tasks.gates.values():
        gate.set()
    assert [each.result() for each in futures] == list(range(6))


def test_places_are_lent_when_there_is_memory(tasks: Tasks) -> None:
    is_free = threading.Event()
    asked = threading.Semaphore(0)

    def may_lend() -> bool:
        asked.release()
        return is_free.is_set()

    pool = PatientPool(1, "load", 0.001, may_lend)
    begin(pool, tasks, 2)
    for _ in range(3):  # it was looked at, and not lent
        asked.acquire()
    assert tasks.begun == [0]
    is_free.set()
    wait_for(lambda: sorted(tasks.begun) == [0, 1])


def test_what_fails_and_what_is_cancelled_is_told(tasks: Tasks) -> None:
    pool = PatientPool(1, "load", FOR_EVER, lambda: True)
    failing: Future[float] = pool.submit(lambda: 1 / 0)
    first, second = begin(pool, tasks, 2)
    assert isinstance(failing.exception(), ZeroDivisionError)
    assert second.cancel()
    tasks.gates[0].set()
    assert first.result() == 0
    assert pool.submit(pow, 2, exp=3).result() == 8
    assert tasks.begun == [0]
