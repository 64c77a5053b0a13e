"""Zip archives of models, whose directories are bounded before `zipfile` makes an object of each of their entries."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["MAX_DIRECTORY", "DirectoryTooLarge", "contents", "opened"]

#: bytes of a directory, which is read at once: at least 46 for each entry, of which Python makes some 600
MAX_DIRECTORY = 8 << 20
_CHUNK = 1 << 20


class DirectoryTooLarge(zipfile.BadZipFile):
    """The archive may be sound, but no model's has so many entries."""


@contextmanager
def opened(path: Path, max_directory: int = MAX_DIRECTORY) -> Iterator[zipfile.ZipFile]:
    """The archive; its members are read by `contents`, or in parts.

    Raises:
        DirectoryTooLarge: its directory takes more than `max_directory` bytes.
        zipfile.BadZipFile, OSError: it is none, or damaged.
    """
    with _ShortReads(path, max_directory) as stream, zipfile.ZipFile(stream) as archive:
        yield archive


def contents(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member, which the caller knows to be of a size that may be read.

    Raises:
        KeyError: there is none of that name.
        zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError: it is damaged, or encrypted.
    """
    with archive.open(name) as stream:
        return b"".join(iter(lambda: stream.read(_CHUNK), b""))


class _ShortReads(io.BufferedReader):
    """zipfile reads a directory at once, however long it says to be."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(io.FileIO(path))
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:  # what is left, of which it reads the last 64 KiB so
            size = self._most
        if size > self._most:
            raise DirectoryTooLarge(f"its directory takes {size} bytes, and {self._most} are read at most")
        return super().read(size)
