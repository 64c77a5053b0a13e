"""The parent's side: what the server was asked to do about its children, and what one of them gets.

Sandbox.confinement(...) -> Confinement   its command line begins with the launcher's, its temporary files are its own
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from server.runtime.own_code import SOURCE_ROOT
from server.runtime.sandbox.kernel import Kernel
from server.runtime.sandbox.launcher import Policy
from server.runtime.sandbox.readable import devices, system_paths
from server.runtime.sandbox.users import UserRange

__all__ = ["NO_SANDBOX", "Confinement", "Sandbox"]

_PACKAGE = __name__.rpartition(".")[0]
_BOOT = f"import sys; sys.path.insert(0, sys.argv[1]); from {_PACKAGE}.launcher import main; main(sys.argv[2:])"
#: for libraries that would otherwise warn in every process that they find no semaphores
_WITHOUT_SEMAPHORES = {"JOBLIB_MULTIPROCESSING": "0"}
_PREFIX = f"polyserve-sandbox-{os.getpid()}-"


class Confinement:
    """One child's: its policy, and a folder that nobody else uses. `close` once the child has ended."""

    def __init__(self, policy: Policy, users: UserRange | None = None) -> None:
        """
        Raises:
            OSError: there is no room for its temporary files.
        """
        self._users = users if policy.user is not None else None
        self.user = policy.user
        self.confined = bool(policy.landlock or policy.machine)
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.scratch = self._folder / "tmp"
        self._policy = self._folder / "policy.json"
        self._folder.chmod(0o711)
        self.scratch.mkdir(mode=0o700)
        if policy.user is not None:
            os.chown(self.scratch, policy.user, policy.user)
        Policy(**{**vars(policy), "writable": (*policy.writable, str(self.scratch))}).write(self._policy)

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs this one, confined."""
        launcher = (sys.executable, "-I", "-S", "-c", _BOOT, str(SOURCE_ROOT), str(self._policy))
        return [*launcher, *command]

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """With places for files of its own: what is not its own cannot be written, nor all of it read."""
        scratch = str(self.scratch)
        caches = {"XDG_CACHE_HOME": f"{scratch}/.cache", "XDG_CONFIG_HOME": f"{scratch}/.config"}
        if self.confined:
            caches |= _WITHOUT_SEMAPHORES
        return {**environ, "TMPDIR": scratch, "TEMP": scratch, "TMP": scratch, "HOME": scratch, **caches}

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._users is not None and self.user is not None:
            self._users.give_back(self.user)
            self._users = None


@dataclass(frozen=True)
class Sandbox:
    """What children that run strangers' code may do less than the server. `network`: they may connect to others."""

    confines: bool = False
    network: bool = False
    readable: tuple[Path, ...] = ()  #: what all of them may read beside what they need
    users: UserRange | None = None  #: each gets one of these user ids
    kernel: Kernel = field(default_factory=Kernel, compare=False)
    _open: weakref.WeakSet[Confinement] = field(default_factory=weakref.WeakSet, compare=False)

    def confinement(
        self,
        readable: Iterable[Path | str],
        writable: Iterable[Path | str] = (),
        *,
        listable: Iterable[Path] = (),
        python: Path = Path(sys.executable),
        network: bool = False,
        own_user: bool = False,
    ) -> Confinement | None:
        """For one child, which needs these; None where it is left as it is. `listable`: the names in them alone.

        Raises:
            OSError: it cannot be prepared.
        """
        users = self.users if own_user else None
        if not self.confines and users is None:
            return None
        needed = system_paths(python, [os.path.abspath(entry) for entry in sys.path if entry])  # noqa: PTH100
        policy = Policy(
            (*needed, *(os.path.abspath(path) for path in (*readable, *self.readable))),  # noqa: PTH100
            (*devices(), *(os.path.abspath(path) for path in writable)),  # noqa: PTH100
            (str(SOURCE_ROOT), *map(os.path.abspath, listable)),  # Python looks for `server` among its names
            self.network or network,
            self.kernel.landlock if self.confines else 0,
            self.kernel.machine_name if self.confines and self.kernel.machine else "",
            users.take() if users else None,
        )
        try:
            confinement = Confinement(policy, users)
        except OSError:
            if users and policy.user is not None:
                users.give_back(policy.user)
            raise
        self._open.add(confinement)
        return confinement

    def close(self) -> None:
        """Remove what children have left: the server is going, and they are."""
        for confinement in list(self._open):
            confinement.close()


NO_SANDBOX = Sandbox()
