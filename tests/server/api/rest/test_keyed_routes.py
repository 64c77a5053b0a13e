"""Which requests need a key, and for what."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from server.api.credentials import KEY, KeyFile, KeyGuard
from server.api.openai.endpoints import OpenAIPaths
from server.api.rest.keyed_routes import KeyedRoutes, named_model

SOME, ALL = "some-0123456789abcdef", "all-0123456789abcdef"


@pytest.fixture
def keys(tmp_path: Path) -> KeyGuard:
    file = tmp_path / "keys"
    file.write_text(f"- {{key: {SOME}, name: some, models: [m]}}\n- {{key: {ALL}, name: all}}\n")
    return KeyGuard(KeyFile(file))


def ask(guard: KeyedRoutes, path: str, key: str = "", method: str = "POST") -> tuple[int, Any, dict[bytes, bytes]]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"x-api-key", key.encode()), (b"authorization", b"Bearer x"), (b"x", b"y")] if key else []
    asyncio.run(guard({"type": "http", "method": method, "path": path, "headers": headers}, receive, send))
    return sent[0]["status"], orjson.loads(sent[1]["body"]), dict(sent[0]["headers"])


async def behind(scope: Any, receive: Any, send: Any) -> None:
    told = {"headers": [name.decode() for name, _ in scope["headers"]], "key": getattr(scope.get(KEY), "name", "")}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": orjson.dumps(told)})


def statuses(keys: KeyGuard, path: str) -> list[int]:
    guard = KeyedRoutes(behind, keys, OpenAIPaths("/openai"))
    return [ask(guard, path, key)[0] for key in ("", "wrong", SOME, ALL)]


@pytest.mark.parametrize("path", ["/", "/ping", "/v2/health/live", "/v2/health/ready", "/console", "/console/assets/x"])
def test_what_is_open(keys: KeyGuard, path: str) -> None:
    assert statuses(keys, path) == [200] * 4


@pytest.mark.parametrize("path", ["/v2/repository/models/x/load", "/v2/logging"])
def test_who_changes_the_server_is_asked_behind(keys: KeyGuard, path: str) -> None:
    assert statuses(keys, path) == [200] * 4
    assert ask(KeyedRoutes(behind, keys), path, SOME)[1]["headers"] == ["x-api-key", "authorization", "x"]


OF_A_MODEL = [
    "/v1/models/{}", "/v1/models/{}:predict", "/v1/models/{}:explain", "/v1/models/{}/versions/1:predict",
    "/v1/models/{}/labels/a:predict", "/v1/models/{}/metadata", "/v1/models/{}/x/y",
    "/v2/models/{}", "/v2/models/{}/infer", "/v2/models/{}/versions/1/infer", "/v2/models/{}/generate_stream",
    "/v2/models/{}/ready", "/v2/models/{}/config", "/v2/models/{}/stats", "/v2/models/{}/trace/setting",
    "/v2/models/{}/nowhere", "/models/{}", "/models/{}/all", "/console/models/{}", "/predictions/{}",
    "/predictions/{}/1", "/explanations/{}", "/openai/v1/models/{}",
]  # fmt: skip


@pytest.mark.parametrize("path", OF_A_MODEL)
def test_what_names_a_model_needs_a_key_for_it(keys: KeyGuard, path: str) -> None:
    assert statuses(keys, path.format("m")) == [401, 401, 200, 200]
    assert statuses(keys, path.format("other")) == [401, 401, 403, 200]
    assert statuses(keys, path.format("m2")) == [401, 401, 403, 200]


@pytest.mark.parametrize("path", ["/metrics", "/openapi.json", "/console/overview"])
def test_what_tells_of_all_models_needs_a_key_for_all(keys: KeyGuard, path: str) -> None:
    assert statuses(keys, path) == [401, 401, 403, 200]


@pytest.mark.parametrize("path", ["/v2", "/docs", "/nowhere", "/openai/v1/chat/completions",
                                  "/v1/completions", "/openai/v1/models", "/v1/models", "/v2/models",
                                  "/v2/models/stats", "/models", "/console/", "/console/assets"])  # fmt: skip
def test_anything_else_needs_a_key(keys: KeyGuard, path: str) -> None:
    assert statuses(keys, path) == [401, 401, 200, 200]


def test_the_key_is_known_behind_and_its_headers_are_not(keys: KeyGuard) -> None:
    assert ask(KeyedRoutes(behind, keys), "/v2", SOME)[1] == {"headers": ["x"], "key": "some"}
    shown = ask(KeyedRoutes(behind, keys, hides=False), "/v2", SOME)[1]
    assert shown == {"headers": ["x-api-key", "authorization", "x"], "key": "some"}


def test_refusals_say_how_in_the_shape_of_their_api(keys: KeyGuard) -> None:
    guard = KeyedRoutes(behind, keys, OpenAIPaths("/openai"))
    status, body, headers = ask(guard, "/v1/models/m:predict")
    assert (status, headers[b"www-authenticate"]) == (401, b"Bearer")
    assert "this server asks for an API key" in body["error"]
    status, body, _ = ask(guard, "/openai/v1/chat/completions")
    assert (status, body["error"]["type"]) == (401, "authentication_error")


@pytest.mark.parametrize(("path", "model"), [("/v1/models/a:predict", "a"), ("/v2/models/b/x", "b"), ("/v2", None)])
def test_which_model_a_path_names(path: str, model: str | None) -> None:
    assert named_model(path) == model
