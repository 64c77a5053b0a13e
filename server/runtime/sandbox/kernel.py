"""Which parts of the sandbox this kernel has, in words for the operator."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from server.runtime.sandbox import landlock
from server.runtime.sandbox.system_calls import MACHINES, Machine

_PR_GET_SECCOMP, _PR_SET_SECCOMP, _MODE_FILTER = 21, 22, 2


def has_seccomp() -> bool:
    """Whether filters may be set: an empty address is looked at only where they are known."""
    libc = ctypes.CDLL(None, use_errno=True)
    refused = libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, None, 0, 0)
    return bool(refused) and ctypes.get_errno() == errno.EFAULT


@dataclass(frozen=True)
class Kernel:
    """What can be had here; the defaults ask the kernel."""

    ask_landlock: Callable[[], int] = landlock.abi
    ask_seccomp: Callable[[], bool] = has_seccomp
    machine_name: str = platform.machine()

    @cached_property
    def landlock(self) -> int:
        """The version; 0: none."""
        return self.ask_landlock()

    @cached_property
    def machine(self) -> Machine | None:
        """Where system calls can be filtered: how they are numbered."""
        return MACHINES.get(self.machine_name) if self.ask_seccomp() else None

    @property
    def has_nothing(self) -> bool:
        return not self.landlock and self.machine is None

    @property
    def missing(self) -> tuple[str, ...]:
        """What models' processes can do all the same, a sentence's part for each."""
        release = os.uname().release
        lacks: list[str] = []
        if not self.landlock:
            lacks.append(f"they can use every file that their user may: Linux {release} has no Landlock here")
        elif self.landlock < landlock.TRUNCATION:
            lacks.append(f"they can empty files that their user may write to: Landlock here is version {self.landlock}")
        if self.machine is None:
            why = "no seccomp filters" if self.machine_name in MACHINES else f"no list of calls for {self.machine_name}"
            lacks.append(f"they can use the network and every system call: there is {why}")
            if self.landlock < landlock.SCOPES:
                lacks.append(f"they can signal processes of their user: Landlock here is version {self.landlock}")
        return tuple(lacks)
