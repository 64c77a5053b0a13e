"""What computes gives way to the rest of the machine, with the threads that it begins, and nobody else does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue

import pytest

from adapters.base import LoadError
from adapters.generation.giving_way import MOST, NICE, check_nice, give_way

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="a scheduler of Linux")

#: policy and niceness of a thread
Seen = tuple[int, int]


def seen() -> Seen:
    return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def in_a_thread(work: Callable[[], Seen]) -> Seen:
    found = SimpleQueue[Seen]()
    threading.Thread(target=lambda: found.put(work())).start()
    return found.get(timeout=60)


def test_a_thread_and_those_that_it_begins() -> None:
    def work() -> Seen:
        give_way(NICE)
        assert seen() == in_a_thread(seen)
        return seen()

    before = seen()
    assert in_a_thread(work) == (os.SCHED_BATCH, max(NICE, os.nice(0)))
    assert seen() == before


def test_an_operators_own_choice_stays() -> None:
    def work() -> Seen:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        give_way(NICE)
        return seen()

    assert in_a_thread(work)[0] == os.SCHED_IDLE


def test_who_does_not_want_to_give_way_does_not() -> None:
    def work() -> Seen:
        give_way(0)
        return seen()

    assert in_a_thread(work) == seen()


def test_another_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        give_way(NICE, child.pid)
        found = os.sched_getscheduler(child.pid), os.getpriority(os.PRIO_PROCESS, child.pid)
        child.communicate(b"\n")
    assert found == (os.SCHED_BATCH, max(NICE, os.nice(0)))


@pytest.mark.parametrize("nice", [-1, MOST + 1])
def test_what_is_out_of_range(nice: int) -> None:
    with pytest.raises(LoadError, match=f"options.nice must be from 0 to {MOST}, not {nice}"):
        check_nice({"nice": nice})
    check_nice({"nice": 0})
    check_nice({})
