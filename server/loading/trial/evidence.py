"""Trials, and which files have survived one: an evicted model that comes back unchanged needs no second one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.base import ModelDir
from server.loading import admission
from server.loading.files import FolderStamp, stamp_of
from server.loading.memory_budget import Budget
from server.loading.trial.pool import Trial, TrialPool


@dataclass(frozen=True)
class _Attempt:
    """A trial that went well, and what was tried."""

    how: tuple[str, str, dict[str, Any]]  #: adapter, file, options
    stamp: FolderStamp  #: taken before: files that changed meanwhile are tried again
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
        if last is not None and last.how == how and last.stamp.is_still(stamp):
            return last.trial
        with self._budget.admit_unknown(admission.guess(stamp.size)):
            trial = self._pool.try_load(adapter, directory.path, directory.root, file, options)
        self._attempts[directory.path] = _Attempt(how, stamp, trial)
        return trial

    def stamp(self, directory: ModelDir, trial: Trial) -> FolderStamp:
        """The files as they were before this trial; as they are now, if another one came."""
        last = self._attempts.get(directory.path)
        return last.stamp if last is not None and last.trial is trial else stamp_of(directory)

    def unchanged(self, directory: ModelDir, trial: Trial) -> bool:
        """Whether the files are still those of this trial, which is the latest."""
        last = self._attempts.get(directory.path)
        return last is not None and last.trial is trial and last.stamp.is_still(stamp_of(directory))
