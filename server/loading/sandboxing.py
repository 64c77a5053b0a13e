"""What `--sandbox` and `--worker_uids` come to on this machine, said once in the log."""

from __future__ import annotations

import logging
import os
import sys

from server.config.settings import Settings
from server.runtime.sandbox.kernel import Kernel
from server.runtime.sandbox.sandbox import Sandbox
from server.runtime.sandbox.users import UserRange, closed_way

log = logging.getLogger("kserve")


def sandbox_of(settings: Settings, kernel: Kernel | None = None) -> Sandbox:
    """As the settings want it, and the kernel and the user let it."""
    usable = settings.worker_uids is not None and not _why_no_users(settings)
    users = UserRange(*settings.worker_uids) if usable and settings.worker_uids else None
    kernel = kernel or Kernel()
    return Sandbox(settings.sandbox, settings.sandbox_network, settings.sandbox_read, users, kernel)


def log_sandbox(settings: Settings, sandbox: Sandbox) -> None:
    """Say what holds, and what the kernel or the user does not let be."""
    if settings.sandbox:
        for lack in sandbox.kernel.missing:
            log.warning("--sandbox confines less here than elsewhere: of models' processes, %s", lack)
        if not sandbox.kernel.missing:
            log.info("--sandbox: models' processes are confined (Landlock %d, seccomp)", sandbox.kernel.landlock)
    if sandbox.users is not None:
        log.info("models' processes have user ids of their own, from %d to %d", sandbox.users.first, sandbox.users.last)
    elif os.geteuid() == 0 and settings.trust == "code" and not settings.sandbox:
        log.warning(
            "the server runs as root: model code in its processes can read its secrets and end it; "
            "run it as another user, or with --trust=pickle (SECURITY.md); user ids of their own are not possible: %s",
            _why_no_users(settings),
        )


def _why_no_users(settings: Settings) -> str:
    """Why models' processes run as the server's user; "" where they need not."""
    if settings.worker_uids is None:
        return "--worker_uids=none"
    if problem := UserRange(*settings.worker_uids).problem():
        return problem
    closed = closed_way((sys.executable, __file__))
    return f"other users may not enter {closed}, which the interpreter needs" if closed else ""
