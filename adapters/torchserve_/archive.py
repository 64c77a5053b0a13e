"""Model archives: zip (`.mar`), tar (`.tar.gz`) and plain folders, as torch-model-archiver makes them.

What is unpacked is bounded in entries, bytes and growth, and stays in its folder: an archive that holds absolute names,
`..`, links or devices is refused as a whole, before anything is written.
"""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from adapters.base import LoadError
from adapters.formats import zip_file
from adapters.modeldir import inside, legible
from adapters.torchserve_ import manifest
from adapters.torchserve_.manifest import Manifest

MAX_ENTRIES = 20_000
MAX_BYTES = 64 << 30
#: an archive may hold so many times its own size, and this much more
MAX_RATIO = 100
_FREE = 64 << 20
#: bytes of a zip's directory: for so many entries, some 400 a name
MAX_DIRECTORY = zip_file.MAX_DIRECTORY
MAX_SMALL = 256 * 1024  #: of a requirements file
_CHUNK = 1 << 20
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError,
           RuntimeError, ValueError)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A regular file of an archive: its place in the model's folder, its size, and the archive's own entry."""

    name: str
    size: int
    entry: Any


class Archive(ABC):
    """One archive. Every failure is a LoadError that follows the archive's name in a sentence."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def members(self) -> list[Member]:
        """The regular files, checked."""

    @abstractmethod
    def contents(self, wanted: frozenset[str] | None) -> Iterator[tuple[Member, IO[bytes]]]:
        """The files of these names (all for None), each with a stream that is valid until the next."""

    def read(self, name: str, limit: int) -> bytes:
        """One small file.

        Raises:
            LoadError: it is absent or longer than `limit` bytes.
        """
        with _whole():
            for member, stream in self.contents(frozenset({name})):
                data = stream.read(limit + 1)
                if len(data) > limit:
                    raise LoadError(f"{member.name} is longer than {limit // 1024} KiB")
                return data
        raise LoadError(f"it holds no {name}")

    def manifest(self) -> Manifest:
        """What the archive says of itself."""
        return manifest.parse(self.read(manifest.PATH, manifest.MAX_BYTES))

    @property
    def names(self) -> frozenset[str]:
        with _whole():
            return frozenset(member.name for member in self.members())

    def unpack(self, folder: Path) -> None:
        """Write all files below `folder`, which is empty."""
        with _whole():
            members = self.members()
            total = sum(member.size for member in members)
            folders = {parent for member in members for parent in PurePosixPath(member.name).parents}
            if len(folders) > MAX_ENTRIES:
                raise LoadError(f"it holds more than {MAX_ENTRIES} folders")
            if total > shutil.disk_usage(folder).free:
                raise LoadError(f"it holds {total} bytes, more than {folder} has room for")
            for member, stream in self.contents(None):
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as output:
                    _copy(stream, output, member)


class ZipArchive(Archive):
    """`.mar`: --archive-format default and zip-store."""

    def members(self) -> list[Member]:
        with self._opened() as archive:
            return self._members(archive)

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zip_file.opened(self.path, MAX_DIRECTORY) as archive:
                yield archive
        except zip_file.DirectoryTooLarge as error:
            raise LoadError(f"{error}: it holds more than {MAX_ENTRIES} entries") from error

    def _members(self, archive: zipfile.ZipFile) -> list[Member]:
        entries = archive.infolist()
        for entry in entries:
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise LoadError(f"{entry.filename[:100]!r} is a link or a device")
            if entry.flag_bits & 1:
                raise LoadError("it is encrypted")
        files = [Member(entry.filename, entry.file_size, entry) for entry in entries if not entry.is_dir()]
        return checked(files, len(entries), self.path.stat().st_size)

    def contents(self, wanted: frozenset[str] | None) -> Iterator[tuple[Member, IO[bytes]]]:
        with self._opened() as archive:
            for member in self._members(archive):
                if wanted is None or member.name in wanted:
                    with archive.open(member.entry) as stream:
                        yield member, stream


class _Entry(tarfile.TarInfo):
    """An entry whose header is bounded: tarfile reads a long name or attributes at once, however long they say."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if not self.isreg() and not self.isdir() and self.size > MAX_SMALL:
            raise LoadError(f"an entry's header takes {self.size} bytes: it looks like a bomb")
        return super()._proc_member(archive)  # type: ignore[misc]


class TarArchive(Archive):
    """`.tar.gz`: --archive-format tgz, everything in one folder."""

    def members(self) -> list[Member]:
        with tarfile.open(self.path, "r:gz", tarinfo=_Entry) as archive:
            return list(self._walk(archive))

    def _walk(self, archive: tarfile.TarFile) -> Iterator[Member]:
        """Checked as they come, since finding the last one unpacks all before it."""
        found: list[Member] = []
        count = total = 0
        for entry in archive:
            count += 1
            if not entry.isreg() and not entry.isdir():
                raise LoadError(f"{entry.name[:100]!r} is a link or a device")
            top, _, inner = entry.name.removeprefix("./").partition("/")
            if top in ("", "..") or entry.name.startswith("/"):
                raise LoadError(f"the entry {entry.name[:100]!r} leads out of the archive")
            if entry.isreg():
                total += entry.size
                found.append(Member(inner, entry.size, entry))
                checked(found[-1:], count, self.path.stat().st_size, total)
                yield found[-1]
        checked(found, count, self.path.stat().st_size)

    def contents(self, wanted: frozenset[str] | None) -> Iterator[tuple[Member, IO[bytes]]]:
        with tarfile.open(self.path, "r:gz", tarinfo=_Entry) as archive:
            for member in self._walk(archive):
                if (wanted is None or member.name in wanted) and (stream := archive.extractfile(member.entry)):
                    with stream:
                        yield member, stream


class FolderArchive(Archive):
    """--archive-format no-archive: served where it lies. `root` is the mount, which links may not leave."""

    def __init__(self, path: Path, root: Path) -> None:
        super().__init__(path)
        self._root = root

    def members(self) -> list[Member]:
        found: list[Member] = []
        for path in self.path.rglob("*"):
            if len(found) > MAX_ENTRIES:
                raise LoadError(f"it holds more than {MAX_ENTRIES} files")
            if path.is_file() and inside(path, self._root):
                found.append(Member(path.relative_to(self.path).as_posix(), path.stat().st_size, path))
        return found

    def contents(self, wanted: frozenset[str] | None) -> Iterator[tuple[Member, IO[bytes]]]:
        for member in self.members():
            if wanted is None or member.name in wanted:
                with member.entry.open("rb") as stream:
                    yield member, stream


def checked(members: list[Member], entries: int, size: int, total: int | None = None) -> list[Member]:
    """The members, if they stay in their folder and within the limits; `size` is the archive's own.

    Raises:
        LoadError: they do not.
    """
    total = sum(member.size for member in members) if total is None else total
    if entries > MAX_ENTRIES:
        raise LoadError(f"it holds more than {MAX_ENTRIES} entries")
    if total > MAX_BYTES:
        raise LoadError(f"it would unpack to {total} bytes, the limit is {MAX_BYTES}")
    if total > MAX_RATIO * size + _FREE:
        raise LoadError(f"its {size} bytes would unpack to {total}: it looks like a bomb")
    for member in members:
        _check_name(member.name)
    names = [member.name for member in members]
    if len(set(names)) != len(names):
        raise LoadError("it holds two entries of one name")
    return members


def _check_name(name: str) -> None:
    parts = name.split("/")
    leaves = not name or "\\" in name or "\0" in name or not all(parts) or {".", ".."} & set(parts)
    if leaves or PurePosixPath(name).is_absolute() or ":" in parts[0]:
        raise LoadError(f"the entry {name[:100]!r} leads out of the archive")
    if name != legible(name):
        raise LoadError(f"the entry {name[:100]!a} has a name that would not show as what it is")


def _copy(source: IO[bytes], target: IO[bytes], member: Member) -> None:
    """No more than was announced: the limits were checked against that."""
    left = member.size
    while chunk := source.read(min(_CHUNK, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise LoadError(f"{member.name} holds more than it says")
        target.write(chunk)
    if left:
        raise LoadError(f"{member.name} is cut short")


@contextmanager
def _whole() -> Iterator[None]:
    """What the libraries raise on damaged archives, in our words."""
    try:
        yield
    except LoadError:
        raise
    except _DAMAGE as error:
        raise LoadError(f"it cannot be read: {type(error).__name__}: {error}") from error
