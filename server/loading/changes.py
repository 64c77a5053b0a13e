"""Whether a folder has changed: the names, sizes, times and inodes of its files. No file is opened.

Links are followed inside the mount, so that Kubernetes' swap of `..data` changes every file behind it at once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from adapters.modeldir import inside
from server.loading.catalog import Found

#: device, inode, mode, size, time of the last change in nanoseconds
FolderStamp: TypeAlias = tuple[int, ...]

#: names of files that tools leave while they write, and of what interpreters and models leave while they run
_PASSING = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".swp", "~", ".log", ".pyc")
_PASSING_FOLDERS = {"__pycache__", "lost+found"}
_MOST_FILES = 20_000
_MOST_LEVELS = 16

#: file systems of this machine: their clock is ours
_LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "f2fs", "bcachefs"}


@dataclass(frozen=True)
class Fingerprint:
    """A folder at one moment; two of the same folder are equal while nothing in it changes."""

    files: frozenset[tuple[str, FolderStamp]]
    #: seconds since the epoch, by the file system's clock: when something in it was written or renamed last
    newest: float


def of_folder(folder: Path | str, root: Path) -> Fingerprint:
    """Of a folder and all below it. Empty folders do not count.

    Raises:
        OSError: it cannot be listed.
    """
    return _taken(folder, root, _MOST_LEVELS)


def of_files(folder: Path | str, root: Path) -> Fingerprint:
    """Of the files directly inside a folder.

    Raises:
        OSError: it cannot be listed.
    """
    return _taken(folder, root, 0)


def of_found(found: Found) -> frozenset[tuple[str, FolderStamp]]:
    """Of what loading a model, or one version of it, reads; empty for a folder that is empty, or must not be read."""
    if found.problem:
        return frozenset()
    path, root = found.directory.path, found.directory.root
    try:
        files = of_folder(path, root).files
        if found.home is not None and found.home != path:
            files |= {(f"../{name}", stamp) for name, stamp in of_files(found.home, root).files}
    except OSError:
        return frozenset()
    return files


def is_local(folder: Path) -> bool:
    """Whether the folder lies on a file system of this machine, not on the network."""
    best, kind = "", ""
    try:
        path = str(folder.resolve())
        with Path("/proc/mounts").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                _, mount, name = line.split(" ")[:3]
                within = path == mount or path.startswith(mount.rstrip("/") + "/")
                if within and len(mount) >= len(best):
                    best, kind = mount, name
    except (OSError, ValueError):
        return False
    return kind in _LOCAL


def _taken(folder: Path | str, root: Path, levels: int) -> Fingerprint:
    newest = os.stat(folder).st_mtime  # noqa: PTH116  (a thousand paths take longer to make than to look at)
    files: dict[str, FolderStamp] = {}
    for name, result in _walk(str(folder), "", root, levels, set()):
        newest = max(newest, result.st_ctime)
        if not stat.S_ISDIR(result.st_mode):
            stamp = (result.st_dev, result.st_ino, result.st_mode, result.st_size, result.st_mtime_ns)
            files[name] = stamp
        if len(files) >= _MOST_FILES:
            break
    return Fingerprint(frozenset(files.items()), newest)


def _walk(
    folder: str, prefix: str, root: Path, levels: int, above: set[tuple[int, int]]
) -> Iterator[tuple[str, os.stat_result]]:
    """Every file and folder below, by relative path."""
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        own = entry.name
        if own[0] == "." or own.lower().endswith(_PASSING) or own in _PASSING_FOLDERS:
            continue
        name = prefix + own
        try:
            follow = not entry.is_symlink() or inside(Path(entry.path), root)
            result = entry.stat(follow_symlinks=follow)
            yield name, result
            if levels and follow and stat.S_ISDIR(result.st_mode):
                key = (result.st_dev, result.st_ino)
                if key not in above:
                    yield from _walk(entry.path, f"{name}/", root, levels - 1, {*above, key})
        except OSError:  # vanished, or not ours to look at: a change either way, once it is otherwise
            yield name, os.stat_result((0,) * 10)
