"""A filter of system calls for a process that runs strangers' code, and for all that it starts.

Refused is what reaches out of the process (`_REFUSED`), with the arguments with which it does (`_checked`). What
libraries call in passing, and need not have done, is answered as if it were (`_PRETENDED`). Calls of another table of
the kernel's end the process; calls newer than `system_calls.LAST` do not exist.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from server.runtime.sandbox.system_calls import LAST, Machine

__all__ = ["filter_for", "install"]

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000  #: SECCOMP_RET_*
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06  #: BPF_* codes
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  #: where `struct seccomp_data` has what

#: other processes' memory, descriptors and traces; mounts, roots and namespaces; the kernel, its keys and its clock;
#: what gets round the other rules (io_uring makes sockets, handles open files by number)
_REFUSED = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise", "process_mrelease"),
    *("migrate_pages", "move_pages", "perf_event_open", "userfaultfd", "bpf", "lookup_dcookie", "ioprio_set"),
    *("mount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    *("pivot_root", "chroot", "unshare", "setns", "statmount", "listmount", "quotactl", "quotactl_fd"),
    *("name_to_handle_at", "open_by_handle_at", "fanotify_init", "fanotify_mark", "swapon", "swapoff", "acct"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "syslog"),
    *("create_module", "get_kernel_syms", "query_module", "nfsservctl", "uselib", "_sysctl", "sysfs", "ustat"),
    *("add_key", "request_key", "keyctl", "sethostname", "setdomainname", "settimeofday", "clock_settime"),
    *("adjtimex", "clock_adjtime", "iopl", "ioperm", "modify_ldt", "vhangup"),
    *("chown", "fchown", "lchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr"),
    *("removexattr", "lremovexattr", "fremovexattr", "listen"),
)
#: what other processes of the user would share; libraries do without
_ABSENT = (
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "clone3", "mq_open", "mq_unlink"),
    *("shmget", "shmat", "shmctl", "semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl"),
)
#: modes and times of any file of the user's (Landlock knows no rule for them); and leaving the group that is ended
#: with the worker. `shutil.copy` and `subprocess` call these, and need not have them done.
_PRETENDED = (
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "setsid",
    "setpgid",
)

_NAMESPACES = 0x7E020000  #: CLONE_NEW*
_TERMINAL_AND_OWNER = (0x5412, 0x541C, 0x8901, 0x8902)  #: TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15
_INTERNET = (2, 10)  #: AF_INET, AF_INET6
_STREAMS = (1, 5)  #: SOCK_STREAM, SOCK_SEQPACKET: pairs that never speak with anybody else
_RAW = 3  #: SOCK_RAW
_PRIO_USER = 2


class _Step(NamedTuple):
    """An instruction: jumps are counted from the next one."""

    code: int
    value: int
    yes: int = 0
    no: int = 0

    @property
    def packed(self) -> bytes:
        return struct.pack("<HBBI", self.code, self.yes, self.no, self.value)


def filter_for(machine: Machine, *, network: bool, signals: bool, truncates: bool) -> bytes:
    """The program. `network`: sockets of the internet may be made. `signals`, `truncates`: Landlock sees to these."""
    steps = [_Step(_LOAD, _ARCH), _Step(_EQUAL, machine.audit, 1), _Step(_RETURN, _KILL), _Step(_LOAD, _NUMBER)]
    if machine.second_table is not None:
        steps += [_Step(_AT_LEAST, machine.second_table, 0, 1), _refuse(errno.ENOSYS)]
    steps += [_Step(_AT_LEAST, LAST + 1, 0, 1), _refuse(errno.ENOSYS)]
    refused = _REFUSED if truncates else (*_REFUSED, "truncate")
    for names, number in ((refused, errno.EPERM), (_ABSENT, errno.ENOSYS), (_PRETENDED, 0)):
        for name in (name for name in names if name in machine.calls):
            steps += [_Step(_EQUAL, machine.calls[name], 0, 1), _refuse(number)]
    for name, body in (*_checked(network), *(() if signals else _own_signals(os.getpid()))):
        steps += [_Step(_EQUAL, machine.calls[name], 0, len(body)), *body]
    return b"".join(step.packed for step in (*steps, _Step(_RETURN, _ALLOW)))


def install(program: bytes) -> None:
    """Filter the calls of this thread, and of what it starts, from now on; it must have given up new privileges.

    Raises:
        OSError: the kernel does not take it.
    """
    code = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    whole = Program(len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(whole), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp: " + os.strerror(ctypes.get_errno()))


def _checked(network: bool) -> Iterator[tuple[str, list[_Step]]]:
    """Calls that are refused with some arguments only."""
    yield "clone", [_argument(0), _Step(_ANY_BIT, _NAMESPACES, 0, 1), _refuse(), _Step(_RETURN, _ALLOW)]
    yield "ioctl", _unless_in(1, _TERMINAL_AND_OWNER, refuse=True)
    yield "personality", _unless_in(0, (0, 0xFFFFFFFF))
    yield "prlimit64", _unless_in(0, (0,))
    for name in ("sched_setparam", "sched_setscheduler", "sched_setattr"):
        yield name, _unless_in(0, (0,))
    yield "sched_setaffinity", _unless_in(0, (0,), number=0)  # of threads: a wish, and none of the server's
    yield "setpriority", [_argument(0), _Step(_EQUAL, _PRIO_USER, 0, 1), _refuse(), *_unless_in(1, (0,))]
    yield "socketpair", [_argument(1), _Step(_AND, 0xF), *_any_of(_STREAMS), _refuse(errno.EACCES)]
    if network:
        yield (
            "socket",
            [
                *(_argument(1), _Step(_AND, 0xF), _Step(_EQUAL, _RAW, 0, 1), _refuse(errno.EACCES)),
                *_unless_in(0, _INTERNET, number=errno.EACCES),
            ],
        )
    else:
        yield "socket", [_refuse(errno.EACCES)]


def _own_signals(process: int) -> Iterator[tuple[str, list[_Step]]]:
    """Where Landlock does not keep signals in: to this process and its group alone."""
    own = (process, 0, -process & 0xFFFFFFFF)
    for name in ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        yield name, _unless_in(0, own)
    yield "tkill", [_refuse()]
    yield "pidfd_send_signal", [_refuse()]
    yield (
        "fcntl",
        [
            *(_argument(1), _Step(_EQUAL, _F_SETSIG, 0, 1), _refuse(), _Step(_EQUAL, _F_SETOWN_EX, 0, 1), _refuse()),
            *(_Step(_EQUAL, _F_SETOWN, 1, 0), _Step(_RETURN, _ALLOW)),
            *_unless_in(2, own),
        ],
    )


def _argument(index: int) -> _Step:
    """Its lower half: all that is looked at here is an `int` to the kernel."""
    return _Step(_LOAD, _ARGUMENTS + 8 * index)


def _refuse(number: int = errno.EPERM) -> _Step:
    return _Step(_RETURN, _ERRNO | number)


def _any_of(values: Sequence[int]) -> list[_Step]:
    """Allow what has one of the values."""
    return [step for value in values for step in (_Step(_EQUAL, value, 0, 1), _Step(_RETURN, _ALLOW))]


def _unless_in(index: int, values: Sequence[int], *, number: int = errno.EPERM, refuse: bool = False) -> list[_Step]:
    """Refuse all values of an argument but these; or (`refuse`) just these."""
    if not refuse:
        return [_argument(index), *_any_of(values), _refuse(number)]
    steps = [step for value in values for step in (_Step(_EQUAL, value, 0, 1), _refuse(number))]
    return [_argument(index), *steps, _Step(_RETURN, _ALLOW)]
