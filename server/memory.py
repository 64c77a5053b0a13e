"""What the process does about its memory: few arenas, nothing left for the garbage collector, and nobody looks in."""

from __future__ import annotations

import ctypes
import gc
import threading
import time

_PR_SET_DUMPABLE = 4  #: Linux's `prctl` option
_M_ARENA_MAX = -8  #: glibc's `mallopt` parameter
_ARENAS = 2
#: allocations until the youngest generation is looked through: requests leave next to nothing to collect
_THRESHOLDS = (10_000, 20, 20)

_one_at_a_time = threading.Lock()
_settled = 0.0  #: when (`time.monotonic`)


def limit_arenas() -> None:
    """Let threads share two heaps: glibc would give each its own, and keep what is freed in them. Call it first."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, _ARENAS)


def shut() -> None:
    """Let no other process of this user read this one's memory or first environment: models' code runs as that user.

    A worker's own environment is without secrets; the server's would lie open in `/proc`.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def settle() -> None:
    """After loading: give freed memory back, and keep modules and models out of every later collection.

    A full collection walks all that was imported; with six frameworks that stops every request for 100 ms and more.
    """
    global _settled
    gc.set_threshold(*_THRESHOLDS)
    _collect(frozen=True)
    _settled = time.monotonic()


def give_back(born: float) -> None:
    """After a model has gone: collect what only its own cycles keep, and give freed memory back to the system.

    `born` is when it was loaded (`time.monotonic`). What was there when the server settled is frozen, and takes a full
    collection; what came later a short one.
    """
    _collect(frozen=born < _settled)


def _collect(*, frozen: bool) -> None:
    with _one_at_a_time:
        if frozen:
            gc.unfreeze()
        gc.collect()
        if frozen:
            gc.freeze()
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)
