"""Where what may be fetched or built again is kept."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

__all__ = ["cache_directory", "forbids_execution"]

log = logging.getLogger("kserve")


def cache_directory(name: str) -> Path:
    """A folder called `name` in the service's or the user's cache, made where it was not there yet.

    `CACHE_DIRECTORY` is the service's own, as systemd gives it and the container sets it. Where no cache can be written
    to (a read-only container without a volume) it is a folder for temporary files, which is not made.
    """
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  (Path.home may raise)
    service = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    for cache in (Path(service) if service else None, Path(user, "polyserve")):
        if cache and _writable(cache / name):
            return cache / name
    return Path(tempfile.gettempdir()) / f"polyserve-{name}-{os.getuid()}"


def forbids_execution(directory: Path) -> bool:
    """Whether its file system is mounted `noexec`, as containers' `--tmpfs` is: no native library loads from there."""
    return bool(os.statvfs(directory).f_flag & os.ST_NOEXEC)


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError as error:
        log.debug("%s cannot be written to: %s", directory, error)
        return False
