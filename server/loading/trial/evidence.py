"""Trials, and which files have survived one: an evicted model that comes back unchanged needs no second one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from adapters.base import ModelDir
from server.loading import admission
from server.loading.memory_budget import Budget
from server.loading.trial.pool import Trial, TrialPool

#: every file's path, size, time of the last change and inode; any difference is a new model
Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class _Attempt:
    """A trial that went well, and what was tried."""

    how: tuple[str, str, dict[str, Any]]  #: adapter, file, options
    stamp: Stamp  #: taken before: files that changed meanwhile are tried again
    trial: Trial


class TrialCache:
    """Trials by model directory, the latest of each; without `trials` there are none. Thread-safe."""

    def __init__(self, trials: TrialPool | None, budget: Budget) -> None:
        self._pool = trials
        self._budget = budget
        self._attempts: dict[Path, _Attempt] = {}

    def trial(self, directory: ModelDir, adapter: str, file: str, options: Mapping[str, Any]) -> Trial | None:
        """A trial load by this adapter with these options, unless these very files have gone through one.

        Raises:
            LoadError: it did not go well.
        """
        if self._pool is None:
            return None
        how, stamp = (adapter, file, dict(options)), stamp_of(directory)
        last = self._attempts.get(directory.path)
        if last is not None and (last.how, last.stamp) == (how, stamp):
            return last.trial
        with self._budget.stranger(admission.guess(_size(stamp))):
            trial = self._pool.try_load(adapter, directory.path, directory.root, file, options)
        self._attempts[directory.path] = _Attempt(how, stamp, trial)
        return trial

    def unchanged(self, directory: ModelDir, trial: Trial) -> bool:
        """Whether the files are still those of this trial, which is the latest."""
        last = self._attempts.get(directory.path)
        return last is not None and last.trial is trial and last.stamp == stamp_of(directory)


def size_of(directory: ModelDir) -> int:
    """Bytes of the model's files: the best guess at its memory while nothing has loaded it."""
    return _size(stamp_of(directory))


def stamp_of(directory: ModelDir) -> Stamp:
    """The files of a model's directory, as they are now."""
    return tuple(_files(directory.path))


def as_stamp(told: Iterable[Iterable[Any]]) -> Stamp:
    """A stamp that has travelled between processes."""
    return tuple((str(path), int(size), int(changed), int(inode)) for path, size, changed, inode in told)


def _size(stamp: Stamp) -> int:
    return sum(max(0, size) for _, size, _, _ in stamp)


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
