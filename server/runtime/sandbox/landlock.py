"""Which files a process may use, by Landlock: nothing but what it is given, for it and for all that it starts.

Landlock also keeps it from looking into processes that are outside (`ptrace`, `/proc/PID/environ`), from Linux 6.12 on
from signalling them, and from 6.7 on from TCP. What an older kernel does not know is left out (`Landlock.of`).

Source: include/uapi/linux/landlock.h, Documentation/userspace-api/landlock.rst.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from typing import NoReturn

__all__ = ["SCOPES", "TRUNCATION", "abi", "confine"]

_CREATE, _ADD, _RESTRICT = 444, 445, 446  #: system calls
_VERSION = 1  #: LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1  #: LANDLOCK_RULE_PATH_BENEATH
TRUNCATION, SCOPES = 3, 6  #: versions that brought these
_TCP = 4

_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE = sum(1 << bit for bit in (4, 5, 7, 8, 9, 10, 12))  #: remove and make all but devices
_ALL_OF_FIRST = (1 << 13) - 1
_REFER, _TRUNCATE, _DEVICE = 1 << 13, 1 << 14, 1 << 15  #: came with versions 2, 3 and 5
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _DEVICE
_CONNECT_AND_BIND, _BIND = 3, 1
_ABSTRACT_SOCKETS_AND_SIGNALS = 3


def abi() -> int:
    """The version that the kernel has; 0: none, or it is switched off."""
    version = ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    return max(0, int(version))


def confine(
    version: int, readable: Iterable[str], writable: Iterable[str], listable: Iterable[str] = (), *, network: bool
) -> None:
    """From now on this thread uses these files and folders, and what is below them, alone. What does not exist is left
    out. `listable`: the names in them alone. `network`: it may connect (never listen).

    Raises:
        OSError: the kernel does not take it.
    """
    known = _known(version)
    rules = _Rules(version, known, network)
    try:
        for path in readable:
            rules.allow(path, (_EXECUTE | _READ | _LIST) & known)
        for path in listable:
            rules.allow(path, _LIST)
        for path in writable:
            rules.allow(path, (_EXECUTE | _READ | _LIST | _WRITE | _MAKE | _REFER | _TRUNCATE | _DEVICE) & known)
        rules.enforce()
    finally:
        rules.close()


def _known(version: int) -> int:
    """The rights about files that this version knows."""
    known = _ALL_OF_FIRST
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _DEVICE)):
        known |= right if version >= since else 0
    return known


class _Rules:
    """A rule set on its way into the kernel."""

    def __init__(self, version: int, known: int, network: bool) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        tcp = (_BIND if network else _CONNECT_AND_BIND) if version >= _TCP else 0
        scoped = _ABSTRACT_SOCKETS_AND_SIGNALS if version >= SCOPES else 0
        attributes = struct.pack("=QQQ", known, tcp, scoped)[: 8 if version < _TCP else 16 if version < SCOPES else 24]
        self._rules = self._libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
        if self._rules < 0:
            _fail("no rules can be made")

    def allow(self, path: str, rights: int) -> None:
        try:
            where = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:  # what is not there, or not for this user, need not be allowed
            return
        try:
            if not stat.S_ISDIR(os.fstat(where).st_mode):
                rights &= _OF_FILES
            rule = struct.pack("=Qi", rights, where)
            if self._libc.syscall(_ADD, self._rules, _PATH_BENEATH, rule, 0):
                _fail(path)
        finally:
            os.close(where)

    def enforce(self) -> None:
        if self._libc.syscall(_RESTRICT, self._rules, 0):
            _fail("the rules cannot be enforced")

    def close(self) -> None:
        os.close(self._rules)


def _fail(what: str) -> NoReturn:
    raise OSError(ctypes.get_errno(), f"Landlock: {what}: {os.strerror(ctypes.get_errno())}")
