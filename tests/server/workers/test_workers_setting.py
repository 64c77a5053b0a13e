"""`--workers N`: which models are computed by N processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.base import ModelDir
from server.model_config import ModelConfig
from server.workers.placement import LEAST_BUSY, Workers
from server.workers.trial import Trial, TrialPool


def _trial(busy: float) -> Trial:
    return Trial(0.1, 0, batchable=True, busy_seconds=busy)


@pytest.mark.parametrize(
    ("count", "busy", "config", "shared"),
    [
        (2, LEAST_BUSY, ModelConfig(), True),
        (2, LEAST_BUSY / 2, ModelConfig(), False),
        (1, 1.0, ModelConfig(), False),
        (2, 1.0, ModelConfig(isolation="none"), False),
    ],
)
def test_only_long_calls_go_to_processes(count: int, busy: float, config: ModelConfig, shared: bool) -> None:
    assert Workers(count=count).shares(_trial(busy), config) is shared


def test_a_model_that_nobody_tried_stays() -> None:
    assert not Workers(count=2).shares(None, ModelConfig())


def test_the_trial_tells_long_calls_from_short_ones(tmp_path: Path) -> None:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier, VotingClassifier
    from sklearn.linear_model import LogisticRegression

    iris = load_iris(return_X_y=True)
    forests: list[tuple[str, Any]] = [(f"f{n}", RandomForestClassifier(60, random_state=n)) for n in range(3)]
    found = {}
    pool = TrialPool(1, 100)
    try:
        models = {"short": LogisticRegression(max_iter=500), "long": VotingClassifier(forests)}
        for name, model in models.items():
            folder = tmp_path / name
            folder.mkdir()
            joblib.dump(model.fit(*iris), folder / "model.joblib")
            directory = ModelDir.of(folder)
            found[name] = pool.try_load("sklearn", directory.path, directory.root, "model.joblib", {}).busy_seconds
    finally:
        pool.close()
    assert found["short"] == 0
    assert found["long"] > LEAST_BUSY, sys.version
