"""A folder of its own for an unpacked archive, which goes with its process, even where that is killed.

A shell outlives the process and removes the folder as soon as the pipe between them breaks; what a machine's failure
leaves behind is removed by the next archive that is unpacked there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

_PREFIX = "polyserve-mar-"
_LOCK = ".lock"
_NEW = 60.0  #: seconds after which a folder has its lock, if somebody still uses it


_REMOVE = 'read -r _; rm -rf -- "$1"'


class TemporaryFolder:
    """An empty private folder, `folder`, until `close` or the process's end."""

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self._base = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self._base / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.folder = self._base / "model"
        self.folder.mkdir()
        self._remover = _remover(self._base)

    def close(self) -> None:
        shutil.rmtree(self._base, ignore_errors=True)
        os.close(self._lock)
        if self._remover:
            self._remover.communicate()


def _remover(base: Path) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", _REMOVE, "sh", str(base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError:  # an image without a shell: the next archive's process removes the folder
        return None


def _sweep(parent: Path) -> None:
    for base in parent.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(base / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            if base.exists() and not base.is_symlink() and time.time() - base.stat().st_mtime > _NEW:
                shutil.rmtree(base, ignore_errors=True)
            continue
        except OSError:  # another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(base, ignore_errors=True)
        except BlockingIOError:
            pass  # in use
        finally:
            os.close(lock)
