"""The files below a model's folder: the one walk over them, by which everybody goes who asks about a model's files.

    walk --> stamp_of               what there is now: the trial cache, the load spec, the size of what nobody tried yet
       |`--> changes.py             the same for the watcher, which overlooks files that tools leave while they write
        `--> paths, refuse_strange_files    every file by its path; links out of the mount, pipes, devices are refused

Adapters look at the files directly inside a folder (`ModelDir`); a framework that loads a whole folder opens what it
finds there. Opening a pipe would wait for ever, and a link could lead to any file of this machine. So links are
followed inside the mount only, and never round: what leads to a folder above itself is not entered.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

from adapters.base import LoadError, ModelDir
from adapters.modeldir import inside
from server.loading import lookout
from server.text import printable

__all__ = [
    "NO_FILES",
    "Entry",
    "EntryKind",
    "FileStamp",
    "FolderStamp",
    "FolderTooLarge",
    "allow_entries",
    "is_crowded",
    "is_crowded_inside",
    "is_hidden",
    "paths",
    "refuse_strange_files",
    "stamp_folder",
    "stamp_of",
    "too_many",
    "walk",
]

MOST_ENTRIES = 10_000  #: files and folders of one model, unless the server is told; most real ones have below a hundred
MOST_LEVELS = 64  #: folders within folders

#: whether the walk passes over what has this path (relative to the folder), and over all that lies below it
Skip: TypeAlias = Callable[[str], bool]
_Node: TypeAlias = tuple[int, int]  #: device and inode of a folder

_ABSENT = os.stat_result((0,) * 10)


class FolderTooLarge(LoadError):
    """A folder with more files, or folders within folders, than a model may have."""


def allow_entries(most: int) -> None:
    """From now on a model may have so many files and folders (`--max_model_files`). Call it first."""
    global MOST_ENTRIES
    MOST_ENTRIES = most


def is_crowded(directory: ModelDir) -> bool:
    """Whether more lies directly inside than any model may have, so that nobody should list it.

    A folder that cannot be listed is not.
    """
    try:
        return is_crowded_inside(directory.path)
    except OSError:
        return False


def is_crowded_inside(folder: Path) -> bool:
    """As `is_crowded`.

    Raises:
        OSError: it may not be listed, or what it holds not be looked at.
    """
    with os.scandir(folder) as listed:
        for first in listed:
            first.stat(follow_symlinks=False)
            break
        return next(islice(listed, MOST_ENTRIES - 1, None), None) is not None


def too_many() -> str:
    """Why a folder is not looked at any further."""
    return (
        f"the folder holds more than {MOST_ENTRIES} files and folders: take out what does not belong to the model, "
        "or start the server with a larger --max_model_files"
    )


class EntryKind(Enum):
    """What the walk comes across."""

    FILE = "file"
    FOLDER = "folder"  #: what it holds comes next
    OUTSIDE = "outside"  #: a link that leads out of the mount, or to itself; not followed
    ROUND = "round"  #: a link to a folder above itself; not entered
    CLOSED = "closed"  #: a folder that cannot be listed; it came as a folder before
    OTHER = "other"  #: a pipe, a socket, a device, a link to nothing; what has vanished since it was listed


class Entry(NamedTuple):
    """One file or folder."""

    path: str  #: relative to the folder that is walked
    kind: EntryKind
    status: os.stat_result  #: of what a link leads to; of the link itself where it is not followed; else zeros


class FileStamp(NamedTuple):
    """A file at one moment: another content is another stamp, though it be of the same size and age."""

    device: int
    inode: int
    mode: int
    size: int  #: bytes
    modified: int  #: nanoseconds; whoever writes can set it
    changed: int  #: nanoseconds; only the system sets it: when content, name or mode changed last

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        modified, changed = (status.st_mtime_ns, status.st_ctime_ns) if status.st_mode else (0, 0)
        return cls(status.st_dev, status.st_ino, status.st_mode, status.st_size, modified, changed)


@dataclass(frozen=True)
class FolderStamp:
    """The files below a folder at one moment; two of the same folder are equal while nothing in it changes."""

    files: Mapping[str, FileStamp]  #: by path, links and whatever else is no folder included
    problem: str = ""  #: why its files are not known
    #: seconds since the epoch, by the file system's clock: when something in it was written or renamed last
    newest: float = field(default=0.0, compare=False)

    @property
    def size(self) -> int:
        """Bytes of the files. One that has several names, or links that lead to it, counts once."""
        return sum({(each.device, each.inode): each.size for each in self.files.values()}.values())

    def is_still(self, now: FolderStamp) -> bool:
        """Whether no file has changed since, for sure."""
        return not self.problem and self == now


NO_FILES = FolderStamp({})


def walk(
    folder: Path | str, root: Path, skip: Skip, *, deep: bool = True, status: os.stat_result | None = None
) -> Iterator[Entry]:
    """All that lies below a folder, in the order of the names; `deep` is false: what lies directly inside.

    `status` is the folder's own, where that is known.

    Raises:
        OSError: the folder cannot be listed.
        FolderTooLarge: beyond `allow_entries` and `MOST_LEVELS`; what was given up to there is not all.
    """
    status = status or os.stat(folder)  # noqa: PTH116  (a thousand paths take longer to make than to look at)
    return _Walk(root, skip, deep).below(str(folder), "", frozenset({(status.st_dev, status.st_ino)}))


class _Walk:
    def __init__(self, root: Path, skip: Skip, deep: bool) -> None:
        self._root = root
        self._skip = skip
        self._deep = deep
        self._count = 0

    def below(self, folder: str, prefix: str, above: frozenset[_Node]) -> Iterator[Entry]:
        """`above`: the folder, and those on the way to it."""
        with os.scandir(folder) as listed:
            entries = sorted(islice(listed, MOST_ENTRIES + 1), key=attrgetter("name"))
        for each in entries:
            path = prefix + each.name
            if self._skip(path) or not lookout.at(each.path):
                continue
            self._count += 1
            if self._count > MOST_ENTRIES:
                raise FolderTooLarge(too_many())
            entry = self._look_at(each, path, above)
            yield entry
            if self._deep and entry.kind is EntryKind.FOLDER:
                yield from self._enter(each.path, entry, above)

    def _look_at(self, each: os.DirEntry[str], path: str, above: frozenset[_Node]) -> Entry:
        try:
            follow = not each.is_symlink() or inside(Path(each.path), self._root)
            status = each.stat(follow_symlinks=follow)
        except OSError:
            return Entry(path, EntryKind.OTHER, _ABSENT)
        if not follow:
            return Entry(path, EntryKind.OUTSIDE, status)
        if stat.S_ISDIR(status.st_mode):
            return Entry(path, EntryKind.ROUND if (status.st_dev, status.st_ino) in above else EntryKind.FOLDER, status)
        return Entry(path, EntryKind.FILE if stat.S_ISREG(status.st_mode) else EntryKind.OTHER, status)

    def _enter(self, folder: str, entry: Entry, above: frozenset[_Node]) -> Iterator[Entry]:
        if len(above) > MOST_LEVELS:
            raise FolderTooLarge(_too_deep(entry.path))
        try:
            yield from self.below(folder, f"{entry.path}/", above | {(entry.status.st_dev, entry.status.st_ino)})
        except OSError:  # it has vanished, or is not ours to look into
            yield Entry(entry.path, EntryKind.CLOSED, _ABSENT)


# what is there


def stamp_folder(folder: Path | str, root: Path, skip: Skip, *, deep: bool = True) -> FolderStamp:
    """The files below a folder (`deep` is false: directly inside) as they are now, but for what is to be skipped.

    Raises:
        OSError: it cannot be listed.
    """
    own = os.stat(folder)  # noqa: PTH116
    newest = own.st_mtime
    files: dict[str, FileStamp] = {}
    problem = ""
    try:
        for path, kind, status in walk(folder, root, skip, deep=deep, status=own):
            newest = max(newest, status.st_ctime)
            if kind not in (EntryKind.FOLDER, EntryKind.ROUND):
                files[path] = FileStamp.of(status)
    except FolderTooLarge as error:  # nobody serves it, so that its files are not worth their memory
        files, problem = {}, str(error)
    return FolderStamp(files, problem, newest)


def stamp_of(directory: ModelDir) -> FolderStamp:
    """All that a model's directory holds now, hidden files included."""
    try:
        return stamp_folder(directory.path, directory.root, is_of_kubernetes)
    except OSError as error:
        return FolderStamp({}, f"the directory cannot be read: {error.strerror}")


# what must not be there


def paths(directory: ModelDir, *, hidden: bool) -> Iterator[str]:
    """The paths of all files below, relative to the folder, in order; links are followed inside the mount.

    What Kubernetes keeps beside the links that it mounts (`..data`) is left out; other hidden names only if not
    `hidden`.

    Raises:
        LoadError: a link leads out of the mount, or round; something is neither a file nor a folder; there is too much.
    """
    for path, kind, _ in walk(directory.path, directory.root, is_of_kubernetes if hidden else is_hidden):
        if kind is EntryKind.FILE:
            yield path
        elif kind is not EntryKind.FOLDER:
            raise LoadError(_strange(path, kind))


def refuse_strange_files(directory: ModelDir) -> None:
    """Refuse a folder that a framework could not read as a whole without leaving it, or without waiting.

    Raises:
        LoadError: naming the file.
    """
    for _ in paths(directory, hidden=False):
        pass


def is_hidden(path: str) -> bool:
    """Whether the name begins with a dot, as those of Kubernetes' own folders do."""
    return path.startswith(".", path.rfind("/") + 1)


def is_of_kubernetes(path: str) -> bool:
    """Whether it is what Kubernetes' links lead to (`..data`, `..2026_01_01`): it is found by those links."""
    return path.startswith("..")


def _strange(path: str, kind: EntryKind) -> str:
    if kind is EntryKind.OUTSIDE:
        return f"{printable(path)} leads out of the models directory and is not followed"
    if kind is EntryKind.ROUND:
        return _too_deep(path)
    if kind is EntryKind.CLOSED:
        return f"the folder {printable(path)} cannot be listed"
    return f"{printable(path)} is neither a file nor a folder, and is not opened"


def _too_deep(path: str) -> str:
    return f"{printable(path)} lies in more than {MOST_LEVELS} folders, or a link leads round in them"
