"""A file of this machine. (A folder of this machine is served where it lies.)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from server.loading.storage.errors import StorageError
from server.loading.storage.listing import Listing, RemoteFile
from server.loading.storage.stores.base import Files

_CHUNK = 1 << 20


class Local(Files):
    """One file: an archive, or a model that needs a folder around it."""

    def look(self) -> Listing:
        path = Path(self.address.path)
        if not path.exists():
            raise StorageError("it does not exist")
        if not path.is_file():
            raise StorageError("it is neither a file nor a folder")
        state = path.stat()
        return Listing((RemoteFile(path.name, state.st_size, f"{state.st_mtime_ns} {state.st_ino}"),))

    def read(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        with Path(self.address.path).open("rb") as stream:
            stream.seek(start)
            while chunk := stream.read(_CHUNK):
                yield chunk
