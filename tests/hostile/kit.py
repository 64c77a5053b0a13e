"""What a hostile model is to the tests: how it is made, and what must be said of it."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Hostile:
    """`make` writes the model into a folder; whatever it gets run leaves `mark`, a file elsewhere.

    `why` is what the reason must say under the highest level (under lower ones another may come first). "" means that
    the model may as well be served, as long as the mark is absent.
    """

    make: Callable[[Path, Path], object]
    why: str


#: name -> hostile model
Corpus = Mapping[str, Hostile]


class Payload:
    """An object whose pickle runs a command that leaves the mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def payload(mark: Path, protocol: int = 2) -> bytes:
    return pickle.dumps(Payload(mark), protocol)


def zipped(entries: Mapping[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive; names are written as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def linked(name: str, target: str) -> bytes:
    """A zip archive whose only entry is a symbolic link."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, target)
    return buffer.getvalue()


def files(**content: bytes | str) -> Callable[[Path, Path], None]:
    """A maker that writes files; `__` in a name stands for a dot."""

    def make(folder: Path, mark: Path) -> None:
        for name, data in content.items():
            path = folder / name.replace("__", ".")
            path.write_bytes(data if isinstance(data, bytes) else data.encode())

    return make
