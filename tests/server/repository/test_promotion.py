"""Who runs beside another takes its place; the way back stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.config.shadow_config import ShadowConfig
from server.errors import NotFound, NotReady
from server.repository.promotion import promote, take_over
from server.repository.replicas import NoReplicas
from server.repository.store import ModelStore
from tests.server.repository.kit import ready


def store() -> ModelStore:
    made = ModelStore()
    made.put(ready("m", "1"))
    beside = ready("m", "2")
    made.put(replace(beside, found=replace(beside.found, shadow=ShadowConfig())))
    return made


def test_it_serves_and_the_other_stays() -> None:
    models = store()
    assert (models.serving["m"].version, models.shadows["m"].model.version) == ("1", "2")
    assert promote(models, NoReplicas(), "m") == "2"
    assert (models.serving["m"].version, models.shadows) == ("2", {})
    assert models.models["m"].of("1") is not None


def test_where_nothing_runs_beside_it() -> None:
    models = store()
    promote(models, NoReplicas(), "m")
    with pytest.raises(NotReady, match="has no version with `shadow: true` in memory"):
        promote(models, NoReplicas(), "m")
    with pytest.raises(NotFound, match="model 'nobody' does not exist"):
        promote(models, NoReplicas(), "nobody")


def test_one_that_was_late_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "kserve"):
        take_over(store(), NoReplicas(), "nobody")
    assert caplog.messages == ["model nobody: its shadow does not take over: model 'nobody' does not exist"]
