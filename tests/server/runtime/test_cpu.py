"""A computing thread lets others go first, and the thread that began it does not change."""

from __future__ import annotations

import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread, get_native_id

import pytest

from server.runtime.cpu import NICE, ONE_THREAD, as_in_children, give_way

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="a scheduler of Linux")


def test_they_are_batch_work_of_less_weight() -> None:
    own = os.nice(0)
    assert _seen_in_a_thread() == (os.SCHED_BATCH, max(NICE, os.nice(0)))
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert os.nice(0) == own


def test_an_operators_own_choice_stays() -> None:
    policy, _ = _seen_in_a_thread(before=lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)))
    assert policy == os.SCHED_IDLE


def _seen_in_a_thread(before: Callable[[], object] = lambda: None) -> tuple[int, int]:
    """Policy and niceness of a thread that gave way."""
    found = SimpleQueue[tuple[int, int]]()

    def work() -> None:
        before()
        give_way()
        found.put((os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, get_native_id())))

    thread = Thread(target=work)
    thread.start()
    thread.join(60)
    return found.get(timeout=60)


def test_a_process_whose_variables_an_operator_has_set_otherwise_does_not_calculate_as_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in ONE_THREAD.items():
        monkeypatch.setenv(variable, value)
    assert as_in_children()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert not as_in_children()
