"""Is a downloaded file what its store says it is?"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from server.loading.storage.errors import StorageError
from server.loading.storage.listing import RemoteFile

_CHUNK = 1 << 20


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class _Crc32c:
    def __init__(self) -> None:
        import google_crc32c  # comes with Google's client; slow in plain Python

        self._extend = google_crc32c.extend
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._extend(self._value, data)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


ALGORITHMS: dict[str, Callable[[], _Hash]] = {
    "sha256": hashlib.sha256,
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "crc32c": _Crc32c,
    "crc32": _Crc32,
}


def from_base64(text: str | bytes | bytearray | None) -> str:
    """Base64, or raw bytes, as hexadecimal digits; "" for what is neither."""
    if isinstance(text, (bytes, bytearray)):
        return bytes(text).hex()
    try:
        return base64.b64decode(text or "", validate=True).hex()
    except ValueError:
        return ""


def verify(path: Path, file: RemoteFile) -> None:
    """Compare a file with the size and the strongest of the checksums that its store gives.

    Raises:
        StorageError: it differs, or is not there; transient, since the next try may bring it whole.
    """
    size = path.stat().st_size if path.is_file() else 0
    if size != file.size >= 0 or not path.is_file():
        raise StorageError(f"{file.name} arrived with {size} bytes of {file.size}", transient=True)
    for algorithm, make in ALGORITHMS.items():
        if wanted := file.checksums.get(algorithm):
            found = make()
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    found.update(chunk)
            if found.hexdigest() != wanted.lower():
                raise StorageError(f"{file.name} arrived damaged: its {algorithm} differs", transient=True)
            return
