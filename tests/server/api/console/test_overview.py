"""What the console asks for every second: numbers that only grow, and the states as they are told elsewhere."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import Any

import pytest

from server.api.console.overview import _counted, _reason, _sum, overview
from server.config.shadow_config import ShadowConfig
from server.errors import InvalidInput
from server.repository.repository import Repository
from server.telemetry.counters import SECONDS, ModelMetrics
from tests.server.api.conftest import predict


def looked_at(models: Repository, about: dict[str, str]) -> dict[str, Any]:
    return asyncio.run(overview(models, about))


def test_every_model_is_there_with_its_versions(models: Repository) -> None:
    seen = looked_at(models, {"version": "1.2.3"})
    assert (seen["server"]["version"], seen["server"]["pid"]) == ("1.2.3", os.getpid())
    assert seen["server"]["memory"] > 0 < seen["server"]["uptime"]
    assert seen["bounds"] == SECONDS
    assert [model["name"] for model in seen["models"]] == ["bad", "many", "plain"]
    bad, many, plain = seen["models"]
    assert (bad["state"], plain["state"]) == ("UNAVAILABLE", "READY")
    assert bad["reason"]
    assert [version["version"] for version in many["versions"]] == ["1", "2"]
    assert plain["adapter"] == plain["versions"][0]["adapter"] != ""
    assert plain["memory"] == plain["versions"][0]["memory"]


def test_requests_are_counted_by_whose_fault_they_ended_in(models: Repository) -> None:
    before = {model["name"]: model for model in looked_at(models, {})["models"]}["many"]
    predict(models, "many")
    predict(models, "many", "1")
    with pytest.raises(InvalidInput):
        predict(models, "many", "1", b'{"instances": [[1]]}')
    after = {model["name"]: model for model in looked_at(models, {})["models"]}["many"]
    assert after["requests"] - before["requests"] == 3
    assert after["client_errors"] - before["client_errors"] == 1
    assert after["server_errors"] == before["server_errors"]
    assert after["calls"] > before["calls"]
    assert sum(after["buckets"]) - sum(before["buckets"]) == 3
    assert len(after["buckets"]) == len(SECONDS) + 1
    assert after["tokens"] is None


def test_a_version_beside_another_is_shown_with_what_was_compared(models: Repository) -> None:
    state = models.store.models["many"].states["2"]
    models.store.put(replace(state, found=replace(state.found, shadow=ShadowConfig())))
    counts = models.store.metrics.of("many", "2")
    counts.shadow_agreed, counts.shadow_differed, counts.shadow_seconds, counts.served_seconds = 3, 1, 8.0, 4.0
    (many,) = [model for model in looked_at(models, {})["models"] if model["name"] == "many"]
    assert [version["shadow"] for version in many["versions"]] == [False, True]
    assert "compared" not in many["versions"][0]
    assert many["versions"][1]["compared"] == {
        "agreed": 3,
        "differed": 1,
        "failed": 0,
        "skipped": 0,
        "shadow_seconds": 2.0,
        "served_seconds": 1.0,
    }


def test_a_reason_says_which_of_several_versions_it_is_about() -> None:
    failed = {"version": "3", "reason": "it is broken"}
    assert _reason(failed, alone=True) == "it is broken"
    assert _reason(failed, alone=False) == "version 3: it is broken"


def test_the_clock_goes_on(models: Repository) -> None:
    assert looked_at(models, {})["clock"] < looked_at(models, {})["clock"]


def test_a_model_that_goes_while_others_are_looked_at_is_left_out(
    models: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.api.console.overview._AT_ONCE", 2)

    async def meanwhile() -> dict[str, Any]:
        looking = asyncio.create_task(overview(models, {}))
        await asyncio.sleep(0)
        monkeypatch.delitem(models.store.models, "plain")
        return await looking

    assert [model["name"] for model in asyncio.run(meanwhile())["models"]] == ["bad", "many"]


def test_versions_are_counted_together() -> None:
    one, two = ModelMetrics(), ModelMetrics()
    one.rows, two.rows = 2, 3
    two.failed("v1", 503, 0.2)
    two.failed("v2", 404, 0.2)
    assert _sum([_counted(one), _counted(two)])["tokens"] is None
    two.generation.generated = 5
    whole = _sum([_counted(one), _counted(two), _counted(one)])
    assert (whole["rows"], whole["tokens"], whole["server_errors"], whole["client_errors"]) == (7, 5, 1, 1)
    assert (whole["requests"], sum(whole["buckets"])) == (2, 2)
    assert _sum([])["requests"] == 0
