"""How an engine, which computes all the time on all cores, lets the rest of its machine go first.

Requests of other models take a fraction of a millisecond, and come while the engine is in the middle of a step. Where
it weighs as much as they do, each waits for its turn. So the engine's threads are batch work of less weight: where
nobody else wants the cores that changes nothing, and beside short requests it costs the engine what those take. Much
less would starve it beside requests that are many, and it would be taken for one that hangs.

Source: sched(7), setpriority(2).
"""

from __future__ import annotations

import contextlib
import os

from adapters.base import LoadError, Parameter, Parameters

MOST = 19
NICE = 5  #: as the server's own threads that compute: a third of the weight

OPTION = Parameter("nice", int, meaning=f"how far it lets others have the cores, 0 to {MOST}; {NICE} unless set")


def check_nice(options: Parameters) -> None:
    """
    Raises:
        LoadError: the option is out of range.
    """
    if not 0 <= (nice := options.get(OPTION.name, NICE)) <= MOST:
        raise LoadError(f"options.nice must be from 0 to {MOST}, not {nice}")


def give_way(nice: int, who: int = 0) -> None:
    """Make this thread (0), or another process, give way so far, and all that it begins from now on.

    PyTorch's threads are begun by the one that they compute for. What the kernel does not know, or forbids, is left.
    """
    if nice <= 0:
        return
    with contextlib.suppress(AttributeError, OSError):
        if os.sched_getscheduler(who) == os.SCHED_OTHER:  # an operator's own choice stays
            os.sched_setscheduler(who, os.SCHED_BATCH, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, who, max(nice, os.getpriority(os.PRIO_PROCESS, who)))
