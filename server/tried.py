"""Which files have survived a trial: an evicted model that comes back unchanged needs no second one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from adapters.base import ModelDir
from server.workers.trial import Trial

#: every file's path, size, time of the last change and inode; any difference is a new model
Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]


class Tried:
    """Trials by model directory: the latest of each, with what was tried. Thread-safe."""

    def __init__(self) -> None:
        self._trials: dict[Path, tuple[Any, Stamp, Trial]] = {}

    def recall(self, directory: ModelDir, adapter: str, file: str, options: Mapping[str, Any]) -> Trial | None:
        """The trial of these very files by this adapter with these options, if there was one and it went well."""
        how, stamp, trial = self._trials.get(directory.path, (None, (), None))
        same = trial is not None and how == (adapter, file, dict(options)) and stamp == self.stamp(directory)
        return trial if same else None

    def remember(
        self, directory: ModelDir, adapter: str, file: str, options: Mapping[str, Any], stamp: Stamp, trial: Trial
    ) -> None:
        """`stamp` was taken before the trial: files that changed meanwhile are tried again."""
        self._trials[directory.path] = ((adapter, file, dict(options)), stamp, trial)

    @staticmethod
    def stamp(directory: ModelDir) -> Stamp:
        """What the files are now."""
        return tuple(_files(directory.path))


def size_of(directory: ModelDir) -> int:
    """Bytes of the model's files: the best guess at its memory while nothing has loaded it."""
    return sum(size for _, size, _, _ in _files(directory.path))


def _files(folder: Path) -> Iterator[tuple[str, int, int, int]]:
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(parent, name)  # noqa: PTH118  (thousands of files)
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError:
                yield path, -1, 0, 0
            else:
                yield path, status.st_size, status.st_mtime_ns, status.st_ino
