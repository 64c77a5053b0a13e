"""What root may do that others may not, given up for good by a child: all of it, or all but to read.

It runs in children before a byte of a stranger's does, and imports the standard library alone.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

READ_ANY = 0b110  #: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: within what Landlock leaves, files of other users
_READ_ALONE = 0b100
_NEEDED = _READ_ALONE | 1 << 6 | 1 << 7 | 1 << 8  #: and SETGID, SETUID, SETPCAP
_PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 38, 24, 28
_NO_SETUID_FIXUP = 1 << 2
_CAPABILITIES = 64
_VERSION_3 = 0x20080522  #: of `capset`


def can_become_reader(status: Path = Path("/proc/self/status")) -> bool:
    """Whether this process has the rights that `become_reader` takes; Docker's usual set lacks the one to read."""
    held = int(next(line for line in status.read_text().splitlines() if line.startswith("CapEff")).split()[1], 16)
    return held & _NEEDED == _NEEDED


def become_reader(user: int) -> None:
    """Go on as this user, who may read what root may read, and nothing more. For good; before there are threads.

    What else another user may not do, neither may this process: write others' files, signal or look into their
    processes (the server's among them, and its secrets), become anybody else.

    Raises:
        OSError: it is not root.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # `access`, by which libraries look whether there is a file, would else leave out what another user than root may
    if libc.prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the rights of root cannot be told from its id")
    _bound_capabilities(libc, _READ_ALONE)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _set_capabilities(libc, _READ_ALONE)
    give_up_new_privileges(libc)


def drop_capabilities(libc: ctypes.CDLL, kept: int) -> None:
    """Root is a user like any other from now on, but for these.

    Raises:
        OSError: it has not even these.
    """
    _bound_capabilities(libc, kept)
    _set_capabilities(libc, kept)


def give_up_new_privileges(libc: ctypes.CDLL) -> None:
    """Whatever is started has no more rights than this process, whoever owns its file.

    Raises:
        OSError
    """
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "new privileges cannot be given up")


def _bound_capabilities(libc: ctypes.CDLL, kept: int) -> None:
    for capability in range(_CAPABILITIES):
        if not kept >> capability & 1:
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused where there is no such, or no right to


def _set_capabilities(libc: ctypes.CDLL, kept: int) -> None:
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capabilities cannot be given up")
