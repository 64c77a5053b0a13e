"""A folder of its own for an unpacked archive, which is gone with its process, even one that was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_PREFIX = "polyserve-mar-"
_LOCK = ".lock"
_NEW = 60.0  #: seconds after which a folder has its lock, if somebody still uses it


class Place:
    """An empty private folder, `folder`, until `close`. Folders that dead processes left behind are removed."""

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self._base = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self._base / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.folder = self._base / "model"
        self.folder.mkdir()

    def close(self) -> None:
        shutil.rmtree(self._base, ignore_errors=True)
        os.close(self._lock)


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
