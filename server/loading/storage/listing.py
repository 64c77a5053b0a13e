"""What a store says it holds: files with sizes and checksums, and from these the version of the whole."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from server.loading.storage.errors import StorageError

MOST_FILES = 100_000


@dataclass(frozen=True)
class RemoteFile:
    """One file. Its name is relative to the model's folder, with slashes."""

    name: str
    size: int  #: bytes; -1 where the store does not tell
    tag: str = ""  #: changes whenever the content does: an ETag, a generation; "" where the store has none
    #: algorithm (`checksums.ALGORITHMS`) -> hex digits; a store that lists none may add them when the file is read
    checksums: dict[str, str] = field(default_factory=dict)
    handle: Any = None  #: what the store itself calls it


@dataclass(frozen=True)
class Listing:
    """All files of a model.

    Raises:
        StorageError: a name leads out of the model's folder, or there is nothing, or far too much.
    """

    files: tuple[RemoteFile, ...]
    revision: str = ""  #: what the store calls this state of the whole, where it has a name for it
    total: int = field(init=False)  #: bytes, as far as they are known

    def __post_init__(self) -> None:
        _check_names([file.name for file in self.files])
        object.__setattr__(self, "total", sum(max(file.size, 0) for file in self.files))

    @property
    def lasting(self) -> bool:
        """Whether the same version can be told again: otherwise every start downloads."""
        return bool(self.revision) or (bool(self.files) and all(file.tag for file in self.files))

    @property
    def version(self) -> str:
        """Names the content: equal for equal content, as far as the store tells."""
        if not self.lasting:
            return secrets.token_hex(10)
        lines = [self.revision, *(f"{file.name}\0{file.size}\0{file.tag}" for file in self.files)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:20]


def _check_names(names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if not is_inside(name):
            raise StorageError(f"the store lists {name[:200]!r}, which leads out of the model's folder")
        if name in seen:
            raise StorageError(f"the store lists {name[:200]!r} twice")
        seen.add(name)
    folders = {str(parent) for name in seen for parent in PurePosixPath(name).parents}
    if both := sorted(folders & seen):
        raise StorageError(f"the store lists {both[0][:200]!r} as a file, and files in it")
    if len(seen) > MOST_FILES:
        raise StorageError(f"the store lists {len(seen)} files, at most {MOST_FILES} make a model")


def is_inside(name: str) -> bool:
    """Whether a relative path with slashes stays in the folder that it is relative to."""
    parts = name.split("/")
    return (
        bool(name)
        and not ({"", ".", ".."} & set(parts))
        and "\0" not in name
        and "\\" not in name
        and (not PurePosixPath(name).is_absolute())
    )
