"""The console's routes: the page, its files, its two documents, and headers that keep it to its own origin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.testclient import TestClient

from server.api.console.console_pages import add_console
from server.api.openapi.request_examples import ModelExamples, examples_of
from server.errors import NotFound
from server.inference.model import ServedModel
from server.repository.repository import Repository
from tests.server.api.conftest import predict


class Examples:
    def __init__(self, models: Repository) -> None:
        self._models = models

    def of(self, model: ServedModel) -> ModelExamples:
        (state, *_) = self._models.states(model.name).values()
        return examples_of(state.found, model)


async def not_found(_: Request, error: Exception) -> Response:
    return Response(str(error), 404)


@pytest.fixture
def client(models: Repository) -> Iterator[TestClient]:
    app = FastAPI()
    refreshed: list[bool] = []

    async def refresh() -> None:
        refreshed.append(True)

    add_console(
        app,
        models,
        Examples(models),
        {"version": "1.2.3", "grpc_port": 9},
        refresh,
        lambda name: [f"model {name} is ready"],
    )
    app.state.refreshed = refreshed
    app.add_exception_handler(NotFound, not_found)
    with TestClient(app) as found:
        yield found


def test_a_slash_behind_leads_to_the_page(client: TestClient) -> None:
    """As the server's routes leave it out of the path (`rest.methods`), and not of what was sent."""
    scope = {"path": "/console", "raw_path": b"/m/console/"}

    async def slashed(given: Any, receive: Any, send: Any) -> None:
        await client.app({**given, **scope}, receive, send)  # type: ignore[operator]

    answer = TestClient(slashed, follow_redirects=False).get("/console")
    assert (answer.status_code, answer.headers["location"]) == (307, "../console")


def test_the_page_names_files_that_are_there(client: TestClient) -> None:
    page = client.get("/console")
    assert page.headers["content-type"].startswith("text/html")
    named = re.findall(r'(?:src|href)="(console/assets/[^"]+)"', page.text)
    assert {name.rpartition(".")[2] for name in named} == {"js", "css", "svg"}
    for name in named:
        assert client.get(f"/{name}").status_code == 200


def test_the_log_of_a_model(client: TestClient) -> None:
    assert client.get("/console/models/plain/log").json() == {"name": "plain", "lines": ["model plain is ready"]}
    assert client.get("/console/models/nobody/log").status_code == 404


def test_modules_import_what_is_there_and_nothing_else(client: TestClient) -> None:
    waiting, seen = ["main.js"], set()
    while waiting:
        name = waiting.pop()
        answer = client.get(f"/console/assets/{name}")
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/javascript"), name
        seen.add(name)
        imported = re.findall(r'from "([^"]+)"', answer.text)
        assert all(each.startswith("./") for each in imported)
        waiting += [each[2:] for each in imported if each[2:] not in seen]
    assert len(seen) > 5


@pytest.mark.parametrize("path", ["/console", "/console/assets/main.js", "/console/overview", "/console/models/plain"])
def test_nothing_may_come_from_elsewhere(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["nothing.js", "../pages.py", "%2e%2e%2fpages.py", ""])
def test_no_other_file_is_sent(client: TestClient, name: str) -> None:
    assert client.get(f"/console/assets/{name}").status_code == 404


def test_the_overview_is_of_all_processes(client: TestClient, models: Repository) -> None:
    predict(models, "plain")
    seen = client.get("/console/overview").json()
    assert client.app.state.refreshed == [True]  # type: ignore[attr-defined]
    assert {model["name"]: model["requests"] for model in seen["models"]}["plain"] >= 1


def test_a_models_page_has_a_request_that_it_answers(client: TestClient, models: Repository) -> None:
    told = client.get("/console/models/plain").json()
    assert told["grpc_port"] == 9
    assert told["v1"]["instances"]
