"""Every call runs, at once while there are threads, and none is lost."""

from __future__ import annotations

import logging
import os
import threading
import time
from queue import SimpleQueue

import pytest

from server.inference.batching.threads import ThreadPool


def test_calls_run_beside_each_other_up_to_the_limit() -> None:
    threads, running, done = ThreadPool(3, "t"), threading.Semaphore(0), threading.Event()

    def hold() -> None:
        running.release()
        done.wait(60)

    for _ in range(5):
        threads.submit(hold)
    assert all(running.acquire(timeout=60) for _ in range(3))
    assert not running.acquire(timeout=0.05)
    done.set()
    assert all(running.acquire(timeout=60) for _ in range(2))


def test_an_idle_thread_is_used_again() -> None:
    threads, names, ran = ThreadPool(8, "t", cores=8), set(), threading.Semaphore(0)

    def note() -> None:
        names.add(threading.current_thread().name)
        ran.release()

    for _ in range(50):
        threads.submit(note)
        assert ran.acquire(timeout=60)
        deadline = time.monotonic() + 60
        while threads.spare < 8:  # it has run, and is about to be idle
            assert time.monotonic() < deadline
            time.sleep(0.0001)
    assert len(names) == 1


def test_many_callers_lose_nothing() -> None:
    threads, counted = ThreadPool(4, "t"), threading.Semaphore(0)

    def flood() -> None:
        for _ in range(500):
            threads.submit(counted.release)

    callers = [threading.Thread(target=flood) for _ in range(4)]
    for caller in callers:
        caller.start()
    assert all(counted.acquire(timeout=60) for _ in range(2000))


def test_a_call_that_fails_is_logged_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    threads, ran = ThreadPool(1, "t"), threading.Event()
    logging.getLogger("kserve").propagate = True
    threads.submit(lambda: 1 / 0)
    threads.submit(ran.set)
    assert ran.wait(60)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="a scheduler of Linux")
def test_they_give_way_to_the_thread_that_takes_requests() -> None:
    threads, policies = ThreadPool(1, "t"), SimpleQueue[int]()
    threads.submit(lambda: policies.put(os.sched_getscheduler(0)))
    assert policies.get(timeout=60) == os.SCHED_BATCH
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
