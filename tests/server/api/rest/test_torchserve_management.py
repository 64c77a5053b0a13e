"""TorchServe's management API: lists and descriptions of what is there; what would change something is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from server.api.rest.torchserve_management import Management, is_management
from server.errors import InvalidInput, NotFound, NotSupported
from server.repository.repository import Repository


def ask(models: Repository, path: str, method: str = "GET") -> Any:
    path, _, query = path.partition("?")
    scope = {"method": method, "path": path, "query_string": query.encode()}
    handler = Management(models).handler(scope)
    assert handler is not None
    answer: Any = asyncio.run(handler(scope, b"", lambda: False))  # type: ignore[arg-type]
    assert answer.status == 200
    return json.loads(answer.body)


def names(listed: Any) -> list[str]:
    return [model["modelName"] for model in listed["models"]]


@pytest.mark.parametrize(
    ("path", "theirs"), [("/models", True), ("/models/m", True), ("/modelsm", False), ("/v1/models", False)]
)
def test_which_paths_are_theirs(models: Repository, path: str, theirs: bool) -> None:
    assert is_management(path) == theirs
    assert (Management(models).handler({"method": "GET", "path": path}) is not None) == theirs
    assert Management(models).handler({"method": "PATCH", "path": path}) is None


def test_models_are_listed_once_each_by_pages(models: Repository) -> None:
    every = ask(models, "/models")
    assert sorted(names(every)) == ["bad", "many", "plain"]
    assert "nextPageToken" not in every
    first = ask(models, "/models?limit=2")
    assert names(first) == names(every)[:2]
    rest = ask(models, f"/models?limit=2&next_page_token={first['nextPageToken']}")
    assert names(rest) == names(every)[2:]
    assert "nextPageToken" not in rest
    assert names(ask(models, "/models?next_page_token=9")) == []


@pytest.mark.parametrize(
    ("query", "says"), [("limit=0", "limit must be"), ("limit=all", "'all'"), ("next_page_token=-1", "'-1'")]
)
def test_a_page_is_numbers(models: Repository, query: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        ask(models, f"/models?{query}")


def test_the_default_version_a_version_and_all(models: Repository) -> None:
    (newest,) = ask(models, "/models/many")
    assert (newest["modelName"], newest["modelVersion"]) == ("many", "2")
    assert [worker["status"] for worker in newest["workers"]] == ["READY"]
    assert newest["batchSize"] == 256
    assert [each["modelVersion"] for each in ask(models, "/models/many/1")] == ["1"]
    assert [each["modelVersion"] for each in ask(models, "/models/many/all")] == ["1", "2"]
    assert [each["modelVersion"] for each in ask(models, "/models/plain")] == ["1"]


def test_one_that_is_not_served_says_why_and_has_no_workers(models: Repository) -> None:
    (known,) = ask(models, "/models/bad")
    assert (known["status"], known["workers"]) == ("UNAVAILABLE", [])
    assert "refused" in known["reason"]


@pytest.mark.parametrize("path", ["/models/nobody", "/models/plain/7", "/models/plain/1/set-default"])
def test_what_is_not_there(models: Repository, path: str) -> None:
    with pytest.raises(NotFound):
        ask(models, path)


@pytest.mark.parametrize(
    ("method", "path", "says"),
    [
        ("POST", "/models?url=m.mar", "into the models directory"),
        ("PUT", "/models/plain?min_worker=3", "`workers`"),
        ("PUT", "/models/plain/1/set-default", "`versions`"),
        ("DELETE", "/models/plain/1", "take its folder away"),
        ("GET", "/models/plain?customized=true", "describe_handle"),
    ],
)
def test_what_is_not_served_is_refused_with_what_to_do(models: Repository, method: str, path: str, says: str) -> None:
    with pytest.raises(NotSupported, match=says):
        ask(models, path, method)
