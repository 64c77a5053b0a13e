"""A computing thread lets others go first, and the thread that began it does not change."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread, get_native_id

import pytest

from server.runtime import cpu
from server.runtime.cpu import NICE, SLICE, give_way

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="a scheduler of Linux")

_GET_ATTRIBUTES = {"x86_64": 315, "aarch64": 275}
_RELEASE = tuple(int(part) for part in platform.release().split(".")[:2])


def test_they_are_batch_work_of_less_weight() -> None:
    own = os.nice(0)
    assert _told_in_a_thread()[:2] == (os.SCHED_BATCH, max(NICE, own))
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert os.nice(0) == own


@pytest.mark.skipif(_RELEASE < (6, 12) or platform.machine() not in _GET_ATTRIBUTES, reason="its kernel has no slices")
def test_their_slices_are_long() -> None:
    mine = _slice()
    assert _told_in_a_thread()[2] == SLICE
    assert _slice() == mine < SLICE


def test_a_machine_whose_system_calls_are_not_known_gets_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "_CALLS", {})
    assert _told_in_a_thread()[:2] == (os.SCHED_BATCH, max(NICE, os.nice(0)))


def test_an_operators_own_choice_stays() -> None:
    policy, _, _ = _told_in_a_thread(before=lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)))
    assert policy == os.SCHED_IDLE


def _told_in_a_thread(before: Callable[[], object] = lambda: None) -> tuple[int, int, int]:
    """Policy, niceness and slice of a thread that gave way."""
    found = SimpleQueue[tuple[int, int, int]]()

    def work() -> None:
        before()
        give_way()
        found.put((os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, get_native_id()), _slice()))

    thread = Thread(target=work)
    thread.start()
    thread.join(60)
    return found.get(timeout=60)


def _slice() -> int:
    """Nanoseconds; 0 where they cannot be told."""
    number = _GET_ATTRIBUTES.get(platform.machine())
    if number is None:
        return 0
    room = ctypes.create_string_buffer(64)
    call = [ctypes.c_long(each) for each in (number, 0)]
    if ctypes.CDLL(None).syscall(*call, room, ctypes.c_long(len(room)), ctypes.c_long(0)):
        return 0
    return int(struct.unpack_from("=IIQiIQQQ", room)[5])
