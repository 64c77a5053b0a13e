"""That a folder's files are the same from the first check to the last load.

A folder is verified, matched, audited and tried before it is loaded, each by opening its files anew. Whoever can write
into it could show one file to the checks and another to the load. So the folder is stamped before the first look and
after the load, and again when a worker starts anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from adapters.base import LoadError, ModelDir
from server.loading.files import EntryKind, FileStamp, is_of_kubernetes, walk
from server.text import printable

#: seconds within which two writes may get the same time
_TICK = 0.02


class FilesChanged(LoadError):
    """The files are no longer those that were checked."""


@dataclass(frozen=True)
class Seal:
    """A folder at one moment, its folders included: one that is moved away and back is another."""

    directory: ModelDir
    files: Mapping[str, FileStamp]
    folders: Mapping[str, FileStamp]  #: by path; "" is the folder itself

    @classmethod
    def of(cls, directory: ModelDir) -> Self:
        """
        Raises:
            LoadError: it cannot be read, or holds more than a model may.
        """
        seal = cls._now(directory)
        newest = max(stamp.changed for stamp in (*seal.files.values(), *seal.folders.values())) / 1e9
        if 0 <= time.time() - newest < _TICK:  # what is written right now might not show by its time
            time.sleep(_TICK)
            return cls._now(directory)
        return seal

    @classmethod
    def _now(cls, directory: ModelDir) -> Self:
        files: dict[str, FileStamp] = {}
        try:
            own = os.stat(directory.path)  # noqa: PTH116
            folders = {"": FileStamp.of(own)}
            for path, kind, status in walk(directory.path, directory.root, is_of_kubernetes, status=own):
                (folders if kind is EntryKind.FOLDER else files)[path] = FileStamp.of(status)
        except OSError as error:
            raise LoadError(f"the directory cannot be read: {error.strerror}") from error
        return cls(directory, files, folders)

    def check(self, *, additions: bool = False) -> None:
        """Make sure that nothing has changed since; `additions`: what has come since may, as models' code may write.

        Raises:
            FilesChanged: naming the file.
            LoadError: the folder cannot be read, or holds more than a model may.
        """
        now = Seal._now(self.directory)
        changed = [path for path, stamp in self.files.items() if now.files.get(path) != stamp]
        if not additions:
            changed += sorted(now.files.keys() - self.files.keys())
            changed += [path or "the folder" for path, stamp in self.folders.items() if now.folders.get(path) != stamp]
        if changed:
            raise FilesChanged(f"{printable(changed[0])} was changed after it was checked")
