"""What every child process does first: end with its parent, and before it when memory runs out."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import select
import sys
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM = 256  #: bytes; it is seven numbers


def tie_to_parent() -> None:
    """Call it first, in a process that leads a group of its own and whose standard input the parent holds open."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _die_with_parent()
    die_first_without_memory()


def resident_bytes(pid: int | None = None) -> int:
    """The resident memory of a process (default: this one), in bytes.

    Raises:
        OSError: there is no such process (any more).
    """
    with open(f"/proc/{pid or 'self'}/statm", "rb", buffering=0) as statm:  # noqa: PTH123  (twice in every trial)
        words = statm.read(_STATM).split()
    if len(words) < 2:  # it ends at this very moment
        raise ProcessLookupError(f"process {pid} has ended")
    return int(words[1]) * _PAGE


def resident_bytes_of_all(pid: int | None = None) -> int:
    """The resident memory of a process (default: this one) and of all that it started, in bytes.

    What its descendants share with others, code and copies not written to yet, counts by their share (`Pss`).

    Raises:
        OSError: there is no such process (any more).
    """
    process = pid or os.getpid()
    total, waiting = resident_bytes(process), _children(process)
    while waiting:
        child = waiting.pop()
        with contextlib.suppress(OSError):  # it has ended meanwhile
            total += _proportional_bytes(child)
            waiting += _children(child)
    return total


def _children(pid: int) -> list[int]:
    """[] where the kernel does not tell."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has ended
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def _proportional_bytes(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except PermissionError:  # of another user's
        return resident_bytes(pid)
    line = next((line for line in rollup.splitlines() if line.startswith("Pss:")), "")
    return int(line.split()[1]) * 1024 if line else resident_bytes(pid)


def _die_with_parent() -> None:
    """Have the kernel end this process group when the parent, which holds the other end of standard input, is gone.

    A thread that waits for the end of the stream would not do: a loader in native code may hold the GIL for ever. Nor
    would PR_SET_PDEATHSIG: it follows the parent's *thread*, and the loader threads come and go. SIGIO's default action
    is to end the process. Whatever the model's code does to its standard input, the pipe stays open elsewhere.

    A parent that has ended before sends no signal: a front process that had just been started would serve on for ever.
    """
    lifeline = os.dup(0)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poller = select.poll()
    poller.register(lifeline, 0)  # errors and the end are told in any case
    if poller.poll(0):
        os._exit(1)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123  (a descriptor)
        os.dup2(nothing.fileno(), 0)


def die_first_without_memory() -> None:
    """When memory runs out, let the kernel end this process, not the server that started it."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    except OSError as error:
        print(f"oom_score_adj cannot be raised: {error}", file=sys.stderr)
