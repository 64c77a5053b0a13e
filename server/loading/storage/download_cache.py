"""Where downloads are kept: a folder for each URI, in it one for each version of what it names.

    <root>/<end of the URI>-<hash>/<version>/...      a whole model; never changed once it is there
                                  /.partial-<version> a download under way, or one that was broken off
                                  /.lock              held by the process that downloads

A version is renamed into place when it is whole and checked. Several servers may share the directory.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from server.config.model_uri import Address

#: versions of one URI that are kept: the newest, and the one before it, which some server may still serve
KEPT = 2


class DownloadedVersions:
    """The versions of one URI."""

    def __init__(self, root: Path, address: Address) -> None:
        end = re.sub(r"[^\w.-]+", "_", address.shown.rstrip("/").rpartition("/")[2])[:40].strip(".") or "model"
        identity = address.shown if address.kind == "azure" else address.uri  # its query is a signature that expires
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self.path = root / f"{end}-{digest}"

    def find(self, version: str) -> Path | None:
        """The folder of a version that is there, marked as used now."""
        folder = self.path / version
        if not folder.is_dir():
            return None
        os.utime(folder)
        return folder

    def latest(self) -> Path | None:
        """The version that was used last."""
        return max(self._versions(), key=lambda folder: folder.stat().st_mtime, default=None)

    def partial(self, version: str) -> Path:
        """The folder of a download under way, made if need be. Others' remains are removed."""
        mine = self.path / f".partial-{version}"
        for other in self.path.glob(".partial-*"):
            if other != mine:
                shutil.rmtree(other, ignore_errors=True)
        mine.mkdir(parents=True, exist_ok=True)
        return mine

    def publish(self, content: Path, version: str) -> Path:
        """Put a whole model into place, and remove versions that were not used for longest."""
        folder = self.path / version
        content.rename(folder)
        os.utime(folder)
        shutil.rmtree(self.path / f".partial-{version}", ignore_errors=True)
        others = sorted(self._versions(), key=lambda other: other.stat().st_mtime, reverse=True)
        for old in [other for other in others if other != folder][KEPT - 1 :]:
            shutil.rmtree(old, ignore_errors=True)
        return folder

    @contextmanager
    def locked(self, waiting: Callable[[], None]) -> Iterator[None]:
        """One process at a time; `waiting` is called when another has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _versions(self) -> list[Path]:
        if not self.path.is_dir():
            return []
        return [entry for entry in self.path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
