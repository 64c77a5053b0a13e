"""What a store does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from kserve_storage.kserve_storage import _parse_patterns_from_env, _should_download

from server.config.model_uri import Address
from server.loading.storage.errors import StorageError
from server.loading.storage.listing import Listing, RemoteFile

T = TypeVar("T")


class Store(ABC):
    """One address in a store that downloads a model as a whole."""

    def __init__(self, address: Address) -> None:
        self.address = address

    @abstractmethod
    def look(self) -> Listing:
        """What is there now."""

    def fetch(self, listing: Listing, folder: Path) -> None:
        """Bring all of it into an existing folder, which may hold what an earlier try left."""
        raise NotImplementedError


class Files(Store):
    """A store whose files are read one by one."""

    @abstractmethod
    def read(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        """A file's bytes from an offset on; of the very state that was listed, or an error."""


def wanted(name: str) -> bool:
    """Whether KServe's STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS let a file through."""
    allowed, ignored = map(_parse_patterns_from_env, ("STORAGE_ALLOW_PATTERNS", "STORAGE_IGNORE_PATTERNS"))
    return bool(_should_download(name, allowed, ignored))


class ListedObjects(Generic[T]):
    """The objects of a bucket that make a model: one object of that very name, else those of the folder."""

    def __init__(self, path: str) -> None:
        self._exact = path if path and not path.endswith("/") else None
        self._prefix = f"{path.rstrip('/')}/" if path.strip("/") else ""

    def named(self, objects: Iterable[tuple[str, T]]) -> list[tuple[str, T]]:
        """Names relative to the model's folder, of objects by their full names.

        Raises:
            StorageError: there are none.
        """
        found = []
        for key, each in objects:
            if key == self._exact:
                return [(key.rpartition("/")[2], each)]
            name = key.removeprefix(self._prefix)
            if key.startswith(self._prefix) and not key.endswith("/") and wanted(name):
                found.append((name, each))
        if not found:
            raise StorageError("nothing is stored there")
        return found
