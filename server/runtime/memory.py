"""What the process does about its memory: few arenas, nothing left for the garbage collector, and nobody looks in."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from server.runtime.lifeline import resident_bytes

log = logging.getLogger("kserve")

_PR_SET_DUMPABLE = 4  #: Linux's `prctl` option
_M_ARENA_MAX = -8  #: glibc's `mallopt` parameter
_ARENAS = 2
#: allocations until the youngest generation is looked through: requests leave next to nothing to collect
_THRESHOLDS = (10_000, 20, 20)

#: while modules are imported and the first models loaded: what they leave stays, and looking through it again and again
#: takes a fifth of the time; `settle` looks through all of it once. A small scikit-learn model leaves some 50 objects
_IMPORTING = (1_000_000, 50, 1_000)

#: bytes of a model for which requests are stopped: less is left to the next full collection
_WORTH = 2**20

#: the process's own group, as a container sees it (version 2)
_CGROUP = "sys/fs/cgroup"

_one_at_a_time = threading.Lock()
_settled = 0.0  #: when (`time.monotonic`)


def limit_arenas() -> None:
    """Let threads share two heaps: glibc would give each its own, and keep what is freed in them. Call it first."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, _ARENAS)


def shut() -> None:
    """Let no other process of this user read this one's memory or first environment: models' code runs as that user.

    A worker's own environment is without secrets; the server's would lie open in `/proc`. (Root can still look: the
    server should not run as root.)
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # for all children, too
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "prctl") or libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        log.warning("the environment cannot be hidden from workers: %s", os.strerror(ctypes.get_errno()))


def collect_rarely() -> None:
    """From now on, until `settle`. A child that loads one model says `collected_rarely` instead."""
    gc.set_threshold(*_IMPORTING)


@contextlib.contextmanager
def collected_rarely() -> Iterator[None]:
    """Within, what is imported is not looked through again and again. Thresholds that a model sets itself stay."""
    before = gc.get_threshold()
    collect_rarely()
    try:
        yield
    finally:
        if gc.get_threshold() == _IMPORTING:
            gc.set_threshold(*before)


def keep() -> None:
    """What is imported by now stays: no collection looks through it any more, not that of `settle` either.

    For one scikit-learn model that takes 0.2 s of its start, and finds 400 objects among 230,000.
    """
    gc.freeze()


def settle() -> None:
    """After loading: give freed memory back, and keep modules and models out of every later collection.

    A full collection walks all that was imported; with six frameworks that stops every request for 100 ms and more.
    """
    _collect(frozen=False)
    _freeze()
    gc.set_threshold(*_THRESHOLDS)  # before, all that was loaded would be looked through for being so much


def give_back(born: float) -> None:
    """After a model has gone: collect what only its own cycles keep, and give freed memory back to the system.

    `born` is when it was loaded (`time.monotonic`). What was there when the server settled is frozen, and takes a full
    collection; what came later a short one.
    """
    _collect(frozen=born < _settled)


def release(let_go: Callable[[], None], expected: int, born: float) -> None:
    """As `give_back`, of a model that lets go of its memory (some `expected` bytes) when it is told to.

    The full collection, which stops every request, is left out where most of the memory has come back without it.
    """
    before = resident_bytes()
    let_go()
    _collect(frozen=False)
    if born < _settled and expected > _WORTH and before - resident_bytes() < expected // 2:
        _collect(frozen=True)


def is_half_free(root: Path = Path("/")) -> bool:
    """Whether half of the machine's memory can be had, and of the container's, where there is a limit; False where
    nobody can say."""
    told = dict(line.partition(":")[::2] for line in _text(root / "proc/meminfo").splitlines())
    try:
        total, available = (int(told[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    except (KeyError, ValueError, IndexError):
        return False
    most, used = (_text(root / _CGROUP / name).strip() for name in ("memory.max", "memory.current"))
    return available * 2 >= total and not (most.isdecimal() and used.isdecimal() and int(used) * 2 > int(most))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _freeze() -> None:
    global _settled
    gc.freeze()
    _settled = time.monotonic()  # what came since the last time is frozen now, too


def _collect(*, frozen: bool) -> None:
    with _one_at_a_time:
        if frozen:
            gc.unfreeze()
        gc.collect()
        if frozen:
            _freeze()
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)
