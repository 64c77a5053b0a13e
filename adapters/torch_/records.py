"""A torch archive's records, read as torch itself reads them, so that both see the same."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from adapters.base import LoadError
from adapters.formats import json_text

#: bytes of one record that are read here: code and descriptions, never tensors
MAX_RECORD = 256 << 20
_TRUST = "if you trust the file, set `trust: full` in its polyserve.yaml"


class RefusedArchive(LoadError):
    """An archive holds more than is known to be harmless."""

    def __init__(self, file: str, what: str) -> None:
        super().__init__(f"{file} {what}; it was not loaded: {_TRUST}")


class Records:
    """The records of one archive, by names without its top folder."""

    def __init__(self, path: Path) -> None:
        import torch

        self.file = path.name
        self._reader = torch._C.PyTorchFileReader(str(path))

    @cached_property
    def names(self) -> list[str]:
        return list(self._reader.get_all_records())

    def size(self, name: str) -> int:
        """Bytes of a record."""
        return int(self._reader.get_record_size(name))

    def read(self, name: str) -> bytes:
        """One record.

        Raises:
            LoadError: it is absent or far too large.
        """
        if name not in self.names:
            raise LoadError(f"{self.file} is damaged: it holds no {name}")
        if (size := self.size(name)) > MAX_RECORD:
            raise LoadError(f"{self.file}: {name} holds {size} bytes, the limit is {MAX_RECORD}")
        data: bytes = self._reader.get_record(name)
        return data

    def json(self, name: str) -> Any:
        try:
            return json_text.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise LoadError(f"{self.file} is damaged: {name} is not JSON") from error

    def refuse(self, what: str) -> RefusedArchive:
        return RefusedArchive(self.file, what)
