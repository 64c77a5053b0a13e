"""What GET tells of models and their versions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from server.api.bodies import Bodies
from server.api.rest.asgi import BodyLimits, answered
from server.api.rest.facts import ModelFacts
from server.api.rest.paths import facts_asked_by
from server.inference.answer import Answer
from server.repository.repository import Repository
from tests.server.api.conftest import predict


def run(handler: Any, body: bytes = b"") -> tuple[int, Any]:
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": []}

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    answer = asyncio.run(answered(handler, scope, receive, BodyLimits(1000, Bodies())))
    assert isinstance(answer, Answer)
    return answer.status, orjson.loads(answer.body)


def get(models: Repository, path: str, query: bytes = b"") -> tuple[int, Any]:
    asked = facts_asked_by({"path": path, "query_string": query})
    assert asked is not None
    return run(ModelFacts(models).handler(asked))


@pytest.mark.parametrize("path", ["/v2/models/many/versions/1", "/v2/models/many/versions/old", "/v2/models/many"])
def test_v2_of_a_version(models: Repository, path: str) -> None:
    assert get(models, path)[1]["versions"] == ["1", "2"]
    assert get(models, f"{path}/ready") == (200, {"name": "many", "ready": True})
    assert get(models, f"{path}/config")[1]["backend"] == "echo"


def test_the_query_names_a_version(models: Repository) -> None:
    assert get(models, "/v2/models/many/ready", b"model_version=old")[0] == 200
    assert get(models, "/v2/models/many/ready", b"model_version=7")[0] == 404
    (entry,) = get(models, "/v2/models/many/stats", b"model_version=old")[1]["model_stats"]
    assert entry["version"] == "1"


@pytest.mark.parametrize("end", ["", "/ready", "/config", "/stats"])
def test_what_is_not_there(models: Repository, end: str) -> None:
    assert get(models, f"/v2/models/nobody{end}") == (404, {"error": "model 'nobody' does not exist"})
    assert get(models, f"/v2/models/plain/versions/2{end}")[0] == 404
    status, body = get(models, f"/v2/models/bad{end}")
    assert (status, "error" in body) == ((200, False) if end == "/stats" else (503, True))


def test_statistics_of_all_models(models: Repository) -> None:
    predict(models, "plain")
    names = [each["name"] for each in get(models, "/v2/models/stats")[1]["model_stats"]]
    assert sorted(names) == ["bad", "many", "many", "plain"]


def test_a_model_called_stats_is_a_model(models: Repository, tmp_path: Path) -> None:
    models.store.models["stats"] = models.store.models["plain"]
    models.store.serving["stats"] = models.store.serving["plain"]
    assert get(models, "/v2/models/stats")[1]["name"] == "stats"


@pytest.mark.parametrize(
    ("path", "versions"),
    [
        ("many", ["2", "1"]),
        ("many/versions/1", ["1"]),
        ("many/labels/old", ["1"]),
        ("plain", ["1"]),
        ("plain/versions/1", ["1"]),
    ],
)
def test_v1_tells_kserves_status_and_tensorflow_servings(models: Repository, path: str, versions: list[str]) -> None:
    status, body = get(models, f"/v1/models/{path}")
    assert (status, body["name"], body["ready"]) == (200, path.partition("/")[0], True)
    assert [each["version"] for each in body["model_version_status"]] == versions
    assert {each["state"] for each in body["model_version_status"]} == {"AVAILABLE"}
    known = get(models, f"/v1/models/{path}/metadata")[1]
    assert known["model_spec"]["version"] == versions[0]
    assert "serving_default" in known["metadata"]["signature_def"]["signature_def"]


def test_v1_of_what_is_not_ready(models: Repository) -> None:
    status, body = get(models, "/v1/models/bad")
    assert (status, body["error"]) == (503, "model 'bad' is not ready: model.echo is refused")
    assert body["model_version_status"][0]["state"] == "END"
    assert get(models, "/v1/models/many/labels/new")[0] == 404
    assert get(models, "/v1/models/bad/metadata")[0] == 503


def test_settings(models: Repository) -> None:
    facts = ModelFacts(models)
    for path in ("/v2/trace/setting", "/v2/models/plain/trace/setting"):
        assert run(facts.settings_handler(path))[1]["trace_level"] == ["OFF"]
        assert run(facts.settings_handler(path), b'{"trace_rate": "7"}')[0] == 501
    assert run(facts.settings_handler("/v2/models/nobody/trace/setting"))[0] == 404
    assert run(facts.settings_handler("/v2/logging"), b"[]")[0] == 400
    assert facts.settings_handler("/v2/logging/x") is None
