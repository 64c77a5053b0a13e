"""Error bodies, the index and Swagger, in an application as KServe's is."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from kserve.errors import ModelNotFound
from kserve.protocol.rest.v1_endpoints import register_v1_endpoints
from starlette.exceptions import HTTPException

import adapters.base
from server.api.kserve.pages import STATIC, add_pages
from server.errors import NotReady

RAISED: dict[str, Exception] = {
    "serving": NotReady("it is loading"),
    "adapter": adapters.base.InvalidInput("row 1 is too short"),
    "kserve": ModelNotFound("iris"),
    "http": HTTPException(405, "not so", {"allow": "POST"}),
}


def application(swagger: bool = True) -> FastAPI:
    app = FastAPI(docs_url=None)

    @app.get("/raise/{name}")
    def fail(name: str, number: int = 0) -> None:
        raise RAISED[name]

    register_v1_endpoints(app, None, None)
    rows = [{"name": "iris", "state": "READY"}, {"name": "rose", "state": "LOADING"}]
    repository: Any = SimpleNamespace(
        index=lambda ready: rows[:1] if ready else rows, store=SimpleNamespace(names=list)
    )
    add_pages(app, repository, "1.2.3", swagger)
    return app


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(application()) as client:
        yield client


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [
        ("serving", 503, "it is loading"),
        ("adapter", 400, "row 1 is too short"),
        ("kserve", 404, "iris"),
        ("http", 405, "not so"),
        ("serving?number=x", 400, "number: "),
    ],
)
def test_every_error_is_a_json_object(client: TestClient, name: str, status: int, word: str) -> None:
    answer = client.get(f"/raise/{name}")
    assert answer.status_code == status
    assert word in answer.json()["error"]


def test_a_path_that_is_asked_otherwise_says_how(client: TestClient) -> None:
    answer = client.get("/v2/repository/index")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error"] == "'/v2/repository/index' is asked by POST, not by GET"
    mixed = client.post("/raise/iris:predict").json()["error"]
    assert mixed.startswith("'/raise/iris:predict' is asked by GET, not by POST; models are asked by POST /v1/models/")


def test_an_errors_headers_are_kept(client: TestClient) -> None:
    assert client.get("/raise/http").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "names"),
    [(b"", ["iris", "rose"]), (b"{}", ["iris", "rose"]), (b'{"ready": true}', ["iris"]), (b" \n", ["iris", "rose"])],
)
def test_the_index(client: TestClient, body: bytes, names: list[str]) -> None:
    answer = client.post("/v2/repository/index", content=body)
    assert [row["name"] for row in answer.json()] == names


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b'{"ready": 1}', '"ready" must be true or false'),
        (b"[]", "ready"),
        (b'{"redy": true}', "the body: 'redy' is unknown, did you mean 'ready'?"),
    ],
)
def test_the_index_refuses_what_it_does_not_know(client: TestClient, body: bytes, word: str) -> None:
    answer = client.post("/v2/repository/index", content=body)
    assert answer.status_code == 400
    assert word in answer.json()["error"]


def test_swagger_needs_no_other_host(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "//cdn" not in page
    assert f'"{STATIC}/swagger-ui.css"' in page
    assert client.get(f"{STATIC}/swagger-ui.css").status_code == 200


def test_without_swagger_there_are_no_pages() -> None:
    with TestClient(application(swagger=False)) as client:
        assert client.get("/docs").status_code == 404
        assert client.get("/openapi.json").json()["info"]["version"] == "1.2.3"
