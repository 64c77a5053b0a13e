"""Which trials count for the files that are there now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.base import ModelDir
from server.loading.files import stamp_of
from server.loading.memory_budget import Budget
from server.loading.trial.evidence import TrialCache
from server.loading.trial.pool import Trial, TrialPool
from tests.server.loading.linked_folders import CHANGES, linked_folder


class Trials(TrialPool):
    """Every model loads."""

    def __init__(self) -> None:
        super().__init__(1, 1.0)
        self.count = 0

    def try_load(self, *job: Any) -> Trial:
        self.count += 1
        return Trial(0.1, 0, batchable=True)


@pytest.fixture
def directory(tmp_path: Path) -> ModelDir:
    return linked_folder(tmp_path)


def test_unchanged_files_are_tried_once(directory: ModelDir) -> None:
    trials = Trials()
    cache = TrialCache(trials, Budget())
    first = cache.trial(directory, "echo", "model.echo", {})
    assert first is not None
    assert cache.trial(directory, "echo", "model.echo", {}) is first
    assert cache.unchanged(directory, first)
    assert cache.trial(directory, "echo", "model.echo", {"option": 1}) is not first
    assert trials.count == 2


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_tried_again(directory: ModelDir, tmp_path: Path, change: str) -> None:
    trials = Trials()
    cache = TrialCache(trials, Budget())
    trial = cache.trial(directory, "echo", "model.echo", {})
    assert trial is not None
    before = stamp_of(directory)
    CHANGES[change](tmp_path)
    assert not cache.unchanged(directory, trial)
    assert cache.stamp(directory, trial) == before
    cache.trial(directory, "echo", "model.echo", {})
    assert trials.count == 2
    assert cache.stamp(directory, trial) == stamp_of(directory) != before


def test_without_a_pool_nothing_is_tried(directory: ModelDir) -> None:
    assert TrialCache(None, Budget()).trial(directory, "echo", "model.echo", {}) is None
