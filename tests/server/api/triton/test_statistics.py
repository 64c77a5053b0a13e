"""How often each version was asked: requests, rows and calls, and where the time went."""

from __future__ import annotations

import time

import pytest

from server.api.triton.statistics import model_statistics
from server.errors import InvalidInput, NotFound
from server.repository.repository import Repository
from tests.server.api.conftest import predict


def test_each_version_counts_its_own(models: Repository) -> None:
    before = time.time()
    predict(models, "many")
    predict(models, "many", "old")
    predict(models, "many", "1")
    with pytest.raises(InvalidInput):
        predict(models, "many", "1", b'{"instances": [[1]]}')
    first, second = model_statistics(models, "many")["model_stats"]
    assert [first["version"], second["version"]] == ["1", "2"]
    assert (first["inference_count"], first["execution_count"]) == (4, 2)
    assert (second["inference_count"], second["execution_count"]) == (2, 1)
    stats = first["inference_stats"]
    assert (stats["success"]["count"], stats["fail"]["count"]) == (2, 1)
    parts = sum(stats[part]["ns"] for part in ("queue", "compute_input", "compute_infer", "compute_output"))
    assert parts == pytest.approx(stats["success"]["ns"], rel=1e-6, abs=10)
    assert stats["fail"]["ns"] > 0
    assert 1000 * before - 1 <= first["last_inference"] <= 1000 * time.time() + 1
    assert model_statistics(models, "many", "old")["model_stats"] == [first]


def test_of_all_models_and_of_none(models: Repository) -> None:
    predict(models, "plain")
    entries = {(each["name"], each["version"]): each for each in model_statistics(models)["model_stats"]}
    assert entries.keys() == {("many", "1"), ("many", "2"), ("plain", "1"), ("bad", "1")}
    assert entries["plain", "1"]["inference_stats"]["success"]["count"] == 1
    silent = entries["bad", "1"]
    assert (silent["last_inference"], silent["inference_count"], silent["execution_count"]) == (0, 0, 0)
    for name, version in (("nobody", None), ("plain", "2")):
        with pytest.raises(NotFound):
            model_statistics(models, name, version)
