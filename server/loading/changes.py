"""Whether a folder has changed, for the watcher: the names, sizes, times and inodes of its files. No file is opened.

Links are followed inside the mount (`files.walk`), so that Kubernetes' swap of `..data` changes every file behind it
at once.
"""

from __future__ import annotations

from pathlib import Path

from adapters.real_path import real_path
from server.loading.catalog import Found
from server.loading.files import NO_FILES, FolderStamp, stamp_folder

#: names of files that tools leave while they write, and of what interpreters and models leave while they run
_PASSING = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".swp", "~", ".log", ".pyc")
_PASSING_FOLDERS = {"__pycache__", "lost+found"}

#: file systems of this machine: their clock is ours
_LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "f2fs", "bcachefs"}


def of_folder(folder: Path | str, root: Path) -> FolderStamp:
    """Of a folder and all below it. Empty folders do not count.

    Raises:
        OSError: it cannot be listed.
    """
    return stamp_folder(folder, root, _is_passing)


def of_files(folder: Path | str, root: Path) -> FolderStamp:
    """Of the files directly inside a folder.

    Raises:
        OSError: it cannot be listed.
    """
    return stamp_folder(folder, root, _is_passing, deep=False)


def of_found(found: Found) -> FolderStamp:
    """Of what loading a model, or one version of it, reads; empty for a folder that is empty, or must not be read."""
    if found.problem:
        return NO_FILES
    path, root = found.directory.path, found.directory.root
    try:
        stamp = of_folder(path, root)
        if found.home is None or found.home == path:
            return stamp
        beside = of_files(found.home, root)
    except OSError:
        return NO_FILES
    return FolderStamp({**stamp.files, **{f"../{name}": each for name, each in beside.files.items()}}, stamp.problem)


def is_local(folder: Path) -> bool:
    """Whether the folder lies on a file system of this machine, not on the network."""
    best, kind = "", ""
    try:
        path = str(real_path(folder))
        with Path("/proc/mounts").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                _, mount, name = line.split(" ")[:3]
                within = path == mount or path.startswith(mount.rstrip("/") + "/")
                if within and len(mount) >= len(best):
                    best, kind = mount, name
    except (OSError, ValueError):
        return False
    return kind in _LOCAL


def _is_passing(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.startswith(".") or name.lower().endswith(_PASSING) or name in _PASSING_FOLDERS
