"""The bytes of a pickle file: decompressed as joblib compresses, bounded, skipped without being held in memory."""

from __future__ import annotations

import bz2
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from adapters.base import LoadError
from adapters.formats.strays import HEAD, stray

__all__ = ["Unreadable", "opened", "skip", "take"]

#: a compressed file may expand to this many bytes, or to `_MAX_RATIO` times its size where that is more
_MIN_EXPANSION = 256 * 2**20
_MAX_RATIO = 100
_CHUNK = 2**20
_SMALL = 2**13
_LZMA_MEMORY = 2**27  #: level 9 takes 65 MiB; a header may ask for 4 GiB

_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS
_LZ4 = b"\x04\x22\x4d\x18"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (of PyTorch or skops?), not a pickle",
    b"ZF0x": "written by a joblib older than 0.10: load it there and dump it with a newer one",
    _LZ4: "compressed with lz4, which is not read: dump it with zlib, gzip, bz2, xz or lzma",
    b"\x89HDF": "an HDF5 file, not a pickle",
}


class Unreadable(LoadError):
    """A file is no pickle, or a damaged one; the message follows the file's name: "is empty"."""


class _Inflated(io.RawIOBase):
    """A compressed file as it is read, up to a limit: a bomb is found before it fills memory or time.

    One stream, as joblib writes it; whatever follows its end is an error.
    """

    def __init__(self, file: BinaryIO, inflate: Any) -> None:
        self._file = file
        self._inflate = inflate  #: of zlib, bz2 or lzma, whose decompressors differ in how they ask for more
        self._packed = os.fstat(file.fileno()).st_size
        self._left = max(_MIN_EXPANSION, _MAX_RATIO * self._packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._inflate.eof:
            if data := self._inflate.decompress(self._more(), len(buffer)):
                buffer[: len(data)] = data
                return self._count(len(data))
        if self._inflate.unused_data or self._file.read(1):
            raise Unreadable("holds more bytes after the end of its compressed data")
        return 0

    def _more(self) -> bytes:
        tail: bytes = getattr(self._inflate, "unconsumed_tail", b"")
        if tail or not getattr(self._inflate, "needs_input", True):
            return tail
        packed = self._file.read(_CHUNK)
        if not packed:
            raise EOFError("the compressed data ends early")
        return packed

    def _count(self, size: int) -> int:
        self._left -= size
        if self._left < 0:
            raise Unreadable(f"expands to more than {_MAX_RATIO} times its {self._packed} bytes, as no model does")
        return size


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """The file, decompressed, from its first byte.

    Raises:
        Unreadable: it is empty, or another kind of file.
    """
    with path.open("rb") as file:
        head = file.peek(HEAD)[:HEAD]
        if not head:
            raise Unreadable("is empty")
        if told := stray(head):
            raise Unreadable(told)
        for magic, what in _FOREIGN.items():
            if head.startswith(magic):
                raise Unreadable(f"is {what}")
        inflate = _decompressor(head)
        yield file if inflate is None else io.BufferedReader(_Inflated(file, inflate), _CHUNK)


def _decompressor(head: bytes) -> Any:
    """The decompressor for joblib's formats by their leading bytes; None for a file that is not compressed."""
    if head.startswith((b"\x1f\x8b", b"\x78")):
        return zlib.decompressobj(_ZLIB_OR_GZIP)
    if head.startswith(b"BZh"):
        return bz2.BZ2Decompressor()
    if head.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        return lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
    return None


def skip(stream: io.BufferedReader, size: int) -> None:
    """Pass over bytes that nobody needs.

    Raises:
        EOFError: there are fewer.
    """
    if size <= _SMALL:  # a call, and mostly within the buffer
        if len(stream.read(size)) < size:
            raise EOFError
        return
    if stream.seekable():
        if size > os.fstat(stream.fileno()).st_size - stream.tell():
            raise EOFError
        stream.seek(size, os.SEEK_CUR)
        return
    while size:
        passed = len(stream.read(min(size, _CHUNK)))
        if not passed:
            raise EOFError
        size -= passed


def take(stream: io.BufferedReader, size: int) -> bytes:
    """Exactly `size` bytes, in memory that grows with what is really there.

    Raises:
        EOFError: there are fewer.
    """
    if size <= _SMALL:
        if len(part := stream.read(size)) < size:
            raise EOFError
        return part
    parts = []
    while size:
        part = stream.read(min(size, _CHUNK))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
