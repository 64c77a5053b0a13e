"""Unpacks a model that is stored as one archive, and refuses archives that climb out or explode."""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

from server.loading.storage.errors import StorageError
from server.loading.storage.listing import MOST_FILES, is_inside

TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ZIP = (".zip",)

#: an archive may unpack to so many times its size, and to `SMALL` bytes in any case
MOST_RATIO = 200
SMALL = 1 << 30
_CHUNK = 1 << 20


def is_archive(name: str) -> bool:
    """Whether the name is that of an archive that is unpacked. (A .mar, .keras or .npz is a model as it is.)"""
    return name.lower().endswith((*TAR, *ZIP))


def unpack(archive: Path, name: str, folder: Path) -> Path:
    """Unpack into a new folder; the model's own folder in it is returned.

    Raises:
        StorageError: it is damaged, a member leads out of the folder, or it is far larger than its file.
    """
    folder.mkdir()
    most = max(SMALL, MOST_RATIO * archive.stat().st_size)
    unpacker = _Unpacker(folder.resolve(), most, shutil.disk_usage(folder).free)
    try:
        if name.lower().endswith(ZIP):
            with zipfile.ZipFile(archive) as opened:
                unpacker.zip(opened)
        else:
            with tarfile.open(archive, "r:*") as tar:
                unpacker.tar(tar)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise StorageError(f"the archive is damaged, or not what its name says: {error}") from error
    return _innermost(folder)


def _innermost(folder: Path) -> Path:
    """Archives often hold one folder that holds the model. (A folder with a number is a version.)"""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
    if len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink() and not entries[0].name.isdecimal():
        return _innermost(entries[0])
    return folder


class _Unpacker:
    """Writes members into a folder as long as they are inside, and not too much."""

    def __init__(self, folder: Path, most: int, free: int) -> None:
        self._folder = folder
        self._most, self._free = most, free
        self._used = self._members = 0

    def zip(self, archive: zipfile.ZipFile) -> None:
        for member in archive.infolist():
            path = self._place(member.filename.rstrip("/"))
            if stat.S_ISLNK(member.external_attr >> 16):
                raise StorageError(f"the archive's member {member.filename[:200]!r} is a link")
            if member.flag_bits & 1:
                raise StorageError("the archive is encrypted")
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
            else:
                with archive.open(member) as stream:
                    self._write(stream, path)

    def tar(self, archive: tarfile.TarFile) -> None:
        while (member := archive.next()) is not None:  # one by one: `getmembers` would read all of it first
            name = member.name.removeprefix("./").rstrip("/")
            if name in ("", "."):
                continue
            path = self._place(name)
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
            elif member.isreg():
                stream = archive.extractfile(member)
                assert stream is not None  # it is a regular file
                with stream:
                    self._write(stream, path)
            elif member.issym() or member.islnk():
                self._link(archive, member)
            else:
                raise StorageError(f"the archive's member {name[:200]!r} is neither a file, a folder nor a link")

    def _place(self, name: str) -> Path:
        self._members += 1
        if self._members > MOST_FILES:
            raise StorageError(f"the archive holds more than {MOST_FILES} members")
        path = self._folder / name
        if not is_inside(name) or not path.resolve().is_relative_to(self._folder):  # by its name, or through a link
            raise StorageError(f"the archive's member {name[:200]!r} leads out of the model's folder")
        return path

    def _link(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        try:
            archive.extract(member, self._folder, filter="data")  # refuses what leads out
        except tarfile.FilterError as error:
            raise StorageError(f"the archive's link {member.name[:200]!r} leads out of the model's folder") from error

    def _write(self, stream: IO[bytes], path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as target:
            while chunk := stream.read(_CHUNK):
                self._take(len(chunk))
                target.write(chunk)

    def _take(self, size: int) -> None:
        self._used += size
        if self._used > self._most:
            raise StorageError(f"the archive unpacks to more than {self._most} bytes: over {MOST_RATIO} times its size")
        if self._used > self._free:
            raise StorageError("the disk has no room for what the archive holds: see --storage_dir")
