"""The fast routes behave as KServe's own routes over the same models: a corpus through both, compared.

Unparseable bodies are worded by KServe and FastAPI there and by our codec here: of those, the status is compared.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import httpx
import orjson
import pytest

from server.config.settings import Settings
from server.loading.catalog import scan
from server.loading.loader import Loader
from server.workers.placement import WorkerPlacement
from tests.cases import CASES, Expected
from tests.patience import wait_for
from tests.shared import Shared

HEADERS = {"content-type": "application/json"}


class Both:
    """One set of models behind two doors: `Routes`, and the application that it stands in front of."""

    def __init__(self, fast: Any, slow: Any, expected: dict[str, Expected]) -> None:
        self.fast, self.slow, self.expected = fast, slow, expected

    def ask(self, path: str, body: bytes) -> tuple[httpx.Response, httpx.Response]:
        async def through(app: Any) -> httpx.Response:
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.post(path, content=body, headers=HEADERS)

        async def both() -> tuple[httpx.Response, httpx.Response]:
            return await through(self.fast), await through(self.slow)

        return asyncio.run(both())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, shared: Shared) -> Iterator[Both]:
    root = tmp_path_factory.mktemp("agree")
    expected = {}
    for case in CASES:
        expected[case.name] = shared.copy(case, root / case.name)
    (root / "empty").mkdir()
    settings = Settings.parse([f"--model_dir={root}", "--trial=false"], {})
    with mock.patch.object(sys, "argv", settings.kserve_argv()):
        from server import app
    may_import, loaded = threading.Event(), threading.Event()
    may_import.set()
    catalog = scan(root)
    workers = WorkerPlacement()
    loader = Loader(None, may_import, workers=workers)
    server = app.PolyServer(settings, catalog, loader)
    rest = server._rest()
    server.repository.first_scan(loader.begin(catalog.found, 1), loaded.set)
    assert loaded.wait(600)
    wait_for(lambda: server.repository.scanned)
    yield Both(rest.config.app, app.frame.application(), expected)
    workers.kill()


def same(fast: httpx.Response, slow: httpx.Response, *, wording: bool = True) -> None:
    assert fast.status_code == slow.status_code, (fast.text, slow.text)
    assert fast.headers["content-type"] == slow.headers["content-type"]
    assert fast.headers["content-length"] == str(len(fast.content))
    answers = [response.json() for response in (fast, slow)]
    for answer in answers:
        answer.pop("id", None)  # made up for each answer where the request has none
    if wording:
        assert answers[0] == {key: value for key, value in answers[1].items() if value is not None}
    else:
        assert [answer.keys() for answer in answers] == [{"error"}] * 2


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_v1(both: Both, name: str) -> None:
    expected = both.expected[name]
    bodies = [{"instances": expected.instances}, {"inputs": expected.instances}]
    bodies += [{"instances": [instance]} for instance in expected.instances]
    bodies += [{"instances": bad} for bad in expected.bad]
    bodies += [{"instances": []}, {"instances": None}, {"instances": 3}, {}, {"instances": expected.instances, "x": 1}]
    for body in bodies:
        if isinstance(body.get("instances", []), list):
            same(*both.ask(f"/v1/models/{name}:predict", orjson.dumps(body)))
        else:
            same(*both.ask(f"/v1/models/{name}:predict", orjson.dumps(body)), wording=False)


@pytest.mark.parametrize("name", ["empty", "nobody"])
def test_models_that_are_not_there(both: Both, name: str) -> None:
    same(*both.ask(f"/v1/models/{name}:predict", b'{"instances": [1]}'))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[1", b"nope"])
def test_bodies_that_are_no_json(both: Both, body: bytes) -> None:
    same(*both.ask("/v1/models/sklearn-logistic:predict", body), wording=False)


@pytest.mark.parametrize("name", ["sklearn-logistic", "onnx-two-inputs", "lightgbm-booster"])
def test_v2(both: Both, name: str) -> None:
    tensors = [
        {"name": tensor, "shape": array.shape, "datatype": "FP32" if array.itemsize == 4 else "FP64",
         "data": array.ravel().tolist()}
        for tensor, array in both.expected[name].tensors.items()
    ]  # fmt: skip
    path = f"/v2/models/{name}/infer"
    good = {"id": "7", "inputs": tensors}
    same(*strip(both.ask(path, orjson.dumps(good))))
    wrong_shape = [{**tensors[0], "shape": [1, 1]}, *tensors[1:]]
    same(*both.ask(path, orjson.dumps({"inputs": wrong_shape})), wording=False)
    same(*both.ask(path, orjson.dumps({"inputs": []})))
    for malformed in ({}, {"inputs": 3}, {"inputs": [{"name": "x"}]}, {"inputs": [3]}):
        same(*both.ask(path, orjson.dumps(malformed)), wording=False)


def strip(responses: tuple[httpx.Response, httpx.Response]) -> tuple[httpx.Response, httpx.Response]:
    """KServe's model of an answer writes absent parameters as null; leave them out before comparing."""
    fast, slow = responses
    body = slow.json()
    body["outputs"] = [{key: value for key, value in each.items() if value is not None} for each in body["outputs"]]
    return fast, httpx.Response(slow.status_code, headers={"content-type": slow.headers["content-type"]}, json=body)
