"""The child's side of the sandbox: give up what the policy does not leave, then become the program.

Run as `python -I -S -c BOOT ROOT POLICY PROGRAM ARGUMENT...`; POLICY is a JSON file, as `Policy` writes it. Nothing of
a stranger's has run in this process yet. It imports the standard library alone, in whatever interpreter this is.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from server.runtime.sandbox import landlock, seccomp
from server.runtime.sandbox.capabilities import READ_ANY, drop_capabilities, give_up_new_privileges
from server.runtime.sandbox.system_calls import MACHINES

#: the status of a process that could not be confined
FAILED = 126
#: what is about the machine in /proc, never about other processes; each is held open, as the kernel may forget entries
#: that nobody uses, and with them the rules about them
_PROC = (
    *("cpuinfo", "meminfo", "stat", "version", "filesystems", "uptime", "loadavg", "devices", "driver", "sys"),
    *("vmstat", "zoneinfo", "swaps", "cmdline"),
)
_OWN = "self"  #: the process's own folder there, in which it may write, too


@dataclass(frozen=True)
class Policy:
    """What a child is left. `landlock` is a version, 0 for none; `machine` names a table of calls, "" for none."""

    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    listable: tuple[str, ...] = ()
    network: bool = False
    landlock: int = 0
    machine: str = ""
    user: int | None = None

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8", errors="surrogateescape")

    @classmethod
    def read(cls, path: str) -> Self:
        fields: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8", errors="surrogateescape"))
        values: dict[str, Any] = {
            name: tuple(value) if type(value) is list else value for name, value in fields.items()
        }
        return cls(**values)


def main(argv: list[str]) -> NoReturn:
    """Confine this process, and become the program; or say why not, and end."""
    policy, *command = argv
    try:
        apply(Policy.read(policy))
        os.execvp(command[0], command)
    except OSError as error:
        print(f"the process cannot be confined: {error}", file=sys.stderr)
    os._exit(FAILED)


def apply(policy: Policy) -> None:
    """Give up what this policy does not leave. For good, and for whatever this process becomes or starts.

    Raises:
        OSError: the kernel does not let it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    own, shared = (_held(_OWN), _held(*_PROC)) if policy.landlock else ((), ())
    if policy.user is not None:
        os.setgroups([])
        os.setresgid(policy.user, policy.user, policy.user)
        os.setresuid(policy.user, policy.user, policy.user)
    elif os.geteuid() == 0 and (policy.landlock or policy.machine):
        drop_capabilities(libc, READ_ANY if policy.landlock else 0)
    give_up_new_privileges(libc)
    if policy.landlock:
        readable, writable = (*policy.readable, *shared), (*policy.writable, *own)
        landlock.confine(policy.landlock, readable, writable, policy.listable, network=policy.network)
    if policy.machine:
        kept_in = policy.landlock >= landlock.SCOPES
        truncates = not policy.landlock or policy.landlock >= landlock.TRUNCATION
        machine = MACHINES[policy.machine]
        program = seccomp.filter_for(machine, network=policy.network, signals=kept_in, truncates=truncates)
        seccomp.install(program)


def _held(*names: str) -> tuple[str, ...]:
    """Entries of /proc, held open until the process ends, by a name of theirs."""
    found = []
    for name in names:
        try:
            held = os.open(f"/proc/{name}", os.O_PATH)
        except OSError:
            continue
        os.set_inheritable(held, True)
        found.append(f"/proc/self/fd/{held}")
    return tuple(found)
