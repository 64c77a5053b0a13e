"""Every framework at one native thread: 1.6 to 2.3 times faster under mixed load than each at its default.

The variables are read when native libraries are loaded, so they have to be set before anything imports one.

How a computing thread lets others of this machine go first: the event loop, clients, other servers.

Where cores are scarce, a computing thread that has just woken takes one from them, and whoever wakes waits until it has
had its slice: up to the next tick of the kernel's clock, 4 ms, for a request of 0.2 ms. So these threads are the
scheduler's batch work, and weigh less. On an idle machine none of that changes anything.

Source: sched(7), setpriority(2).
"""

from __future__ import annotations

import contextlib
import os
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


def give_way() -> None:
    """Make this thread one that lets others go first, as far as the kernel knows how and allows it."""
    with contextlib.suppress(AttributeError, OSError):  # not Linux, or forbidden
        if os.sched_getscheduler(0) == os.SCHED_OTHER:  # 0: this thread; an operator's own choice stays
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(NICE, os.nice(0)))
