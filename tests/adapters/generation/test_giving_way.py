"""What computes gives way to the rest of the machine, with the threads that it begins, and nobody else does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
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


def test_another_process_and_the_whole_of_a_session() -> None:
    code = (
        "import os, pathlib\n"
        "from adapters.generation.giving_way import give_way\n"
        "reads, writes = os.pipe()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os.close(writes)\n"
        "    os.read(reads, 1)\n"  # until this process has ended
        "    os._exit(0)\n"
        f"give_way({NICE}, child)\n"
        "print(os.sched_getscheduler(child), os.getpriority(os.PRIO_PROCESS, child), os.nice(0))\n"
        "session = pathlib.Path('/proc/self/autogroup')\n"
        "print(session.read_text() if session.exists() else '')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, start_new_session=True
    )
    told, session = ran.stdout.strip().split("\n", 1) if "\n" in ran.stdout.strip() else (ran.stdout.strip(), "")
    own = os.nice(0)
    assert told.split() == [str(os.SCHED_BATCH), str(max(NICE, own)), str(own)]
    if Path("/proc/self/autogroup").exists() and session:
        assert session.split()[-1] == str(NICE)


@pytest.mark.parametrize("nice", [-1, MOST + 1])
def test_what_is_out_of_range(nice: int) -> None:
    with pytest.raises(LoadError, match=f"options.nice must be from 0 to {MOST}, not {nice}"):
        check_nice({"nice": nice})
    check_nice({"nice": 0})
    check_nice({})
