"""The routes in front of KServe's application, driven as ASGI: what they answer, and what they leave to it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import numpy as np
import orjson
import pytest
from fastapi import FastAPI
from kserve.protocol.rest.v2_endpoints import register_v2_endpoints

from server.api.kserve.dataplane import PolyDataPlane, PolyRepositoryExtension
from server.api.rest.manners import Manners
from server.api.rest.methods import Methods
from server.api.rest.routes import Routes
from server.inference.batching.queue import Limits
from server.loading.catalog import scan
from server.loading.loader import Loader
from server.repository.repository import Repository
from tests.patience import wait_for
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")

PATIENCE = 60.0
LIMIT = 1000
BODY = b'{"instances": [[1, 2]]}'
ANSWER = {"predictions": [[2.0, 4.0]]}
V2_BODY = b'{"id": "7", "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}'

NAMES = ["iris", "two words", "模型", "a:predict", "100%", "a+b", "infer", "versions", "x" * 200]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Fallthrough:
    """The application behind: remembers who came through."""

    seen: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            self.seen.append((scope["type"], ""))
            return
        self.seen.append((scope["method"], scope["path"]))
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


@dataclass
class Site:
    """A repository of echo models behind the routes."""

    repository: Repository
    routes: Routes
    behind: Fallthrough

    def ask(
        self,
        method: str,
        path: str,
        *chunks: bytes,
        headers: Any = None,
        client: Any = ("127.0.0.1", 1),
        end: bool = True,
    ) -> Answer:
        """`path` as in a URL. `end` False: the client hangs up after the last chunk."""
        messages: list[Any] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks or [b""]]
        messages[-1]["more_body"] = not end
        messages.append({"type": "http.disconnect"})
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        named = {"host": "localhost", **(headers or {})}
        listed = [(key.encode(), value.encode("latin-1")) for key, value in named.items()]
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "method": method, "path": unquote(path), "raw_path": path.encode(), "headers": listed,
            "client": client, "query_string": query.encode(),
        }  # fmt: skip
        asyncio.run(asyncio.wait_for(self.routes(scope, receive, send), PATIENCE))
        start, *bodies = sent
        received = {key.decode(): value.decode() for key, value in start["headers"]}
        return Answer(start["status"], received, b"".join(message["body"] for message in bodies))


@pytest.fixture(scope="module")
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def site(tmp_path: Path, executor: ThreadPoolExecutor) -> Site:
    return build(tmp_path, executor, iris="echo", broken="broken")


def build(tmp_path: Path, executor: ThreadPoolExecutor, **lines: str) -> Site:
    """A repository of models by name, each an `.echo` file of one line, all tried."""
    for name, line in lines.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.echo").write_text(line)
    catalog = scan(tmp_path)
    may_import = threading.Event()
    may_import.set()
    loader = Loader(None, may_import)
    repository = Repository(catalog, loader, executor, Limits(), "scan")
    done = threading.Event()
    repository.first_scan(loader.begin(catalog.found, 4), done.set)
    assert done.wait(PATIENCE)
    wait_for(lambda: repository.scanned)
    behind = Fallthrough()
    return Site(repository, Routes(behind, repository, LIMIT), behind)


# predictions


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_its_routes(tmp_path: Path, executor: ThreadPoolExecutor, name: str) -> None:
    site = build(tmp_path, executor, **{name: "echo"})
    path = "".join(f"%{byte:02X}" for byte in name.encode())
    assert site.ask("POST", f"/v1/models/{path}:predict", BODY).json == ANSWER
    answer = site.ask("POST", f"/v2/models/{path}/infer", V2_BODY)
    assert answer.json["outputs"] == [{"name": "y", "shape": [1, 2], "datatype": "FP64", "data": [2.0, 4.0]}]
    assert answer.json["model_name"] == name
    assert answer.json["id"] == "7"
    assert not site.behind.seen


@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "application/x-www-form-urlencoded", "", "é"])
def test_the_content_type_does_not_matter(site: Site, kind: str | None) -> None:
    answer = site.ask("POST", "/v1/models/iris:predict", BODY, headers={} if kind is None else {"content-type": kind})
    assert (answer.status, answer.json) == (200, ANSWER)
    assert answer.headers == {"content-type": "application/json", "content-length": str(len(answer.body))}


def test_a_body_may_come_in_pieces(site: Site) -> None:
    pieces = [BODY[i : i + 1] for i in range(len(BODY))]
    assert site.ask("POST", "/v1/models/iris:predict", *pieces).json == ANSWER
    assert site.ask("POST", "/v1/models/iris:predict", b"", BODY, b"").json == ANSWER


def test_binary_tensors_both_ways(site: Site) -> None:
    row = np.array([1.5, -2.0])
    head = orjson.dumps(
        {
            "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "parameters": {"binary_data_size": 16}}],
            "parameters": {"binary_data_output": True},
        }
    )
    headers = {"inference-header-content-length": str(len(head))}
    answer = site.ask("POST", "/v2/models/iris/infer", head + row.tobytes(), headers=headers)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    assert answer.body[length:] == (row * 2).tobytes()
    assert orjson.loads(answer.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 16}


# refusals

REFUSED: list[tuple[str, bytes, int, str]] = [
    ("/v1/models/nobody:predict", BODY, 404, "model 'nobody' does not exist"),
    ("/v1/models/:predict", BODY, 404, "model '' does not exist"),
    ("/v1/models/a/b:predict", BODY, 404, "model 'a/b' does not exist"),
    ("/v1/models/..%2Firis:predict", BODY, 404, "model '../iris' does not exist"),
    ("/v1/models/iris%00:predict", BODY, 404, r"model 'iris\x00' does not exist"),
    ("/v1/models/IRIS:predict", BODY, 404, "model 'IRIS' does not exist; did you mean 'iris'?"),
    ("/v2/models/irsi/infer", V2_BODY, 404, "model 'irsi' does not exist; did you mean 'iris'?"),
    ("/v1/models/" + "y" * 100_000 + ":predict", BODY, 404, "model 'yyyy"),
    ("/v1/models/%FF:predict", BODY, 404, "model '�' does not exist"),
    ("/v1/models/broken:predict", BODY, 503, "model 'broken' is not ready: model.echo is damaged"),
    ("/v1/models/iris:predict", b"", 400, "the body is empty"),
    ("/v1/models/iris:predict", b"{", 400, "the body is not JSON"),
    ("/v1/models/iris:predict", b'{"instances": [[1]]}', 400, "each row holds 1 values, the model takes 2"),
    ("/v1/models/iris:predict", b'{"instances": [[1, 2], [-1, 0]]}', 500, "ValueError: poison"),
    ("/v1/models/iris:predict", b"[" * LIMIT, 400, "not JSON"),
    ("/v1/models/iris:predict", b" " * (LIMIT + 1), 413, f"the limit is {LIMIT} (max_body_bytes)"),
    ("/v2/models/nobody/infer", V2_BODY, 404, "model 'nobody' does not exist"),
    ("/v2/models/infer", V2_BODY, 404, "model '' does not exist"),
    ("/v2/models//infer", V2_BODY, 404, "model '' does not exist"),
    ("/v2/models/a/b/infer", V2_BODY, 404, "model 'a/b' does not exist"),
    ("/v2/models/broken/infer", V2_BODY, 503, "damaged"),
    ("/v2/models/iris/versions/2/infer", V2_BODY, 404, "model 'iris' has no version '2'; it has 1"),
    ("/v2/models/iris/infer?model_version=2", V2_BODY, 404, "model 'iris' has no version '2'; it has 1"),
    ("/v2/models/iris/versions/1/infer?model_version=2", V2_BODY, 400, "different versions, '1' and '2': name one"),
    ("/v1/models/iris:classify", BODY, 501, "':classify' takes tf.Examples and is not served; there are POST /v1/mod"),
    ("/v1/models/iris:regress", BODY, 501, "POST /v1/models/iris:predict and POST /v1/models/iris:explain"),
    (
        "/v1/models/iris/versions/1:PREDICT",
        BODY,
        404,
        "there is no verb 'PREDICT'; there are POST /v1/models/iris/vers",
    ),
    ("/v1/models/iris:", BODY, 404, "there is no verb ''"),
    ("/v2/models/iris/versions//infer", V2_BODY, 404, "model 'iris' has no version ''"),
    ("/v2/models/nobody/versions/1/infer", V2_BODY, 404, "model 'nobody' does not exist"),
    ("/v2/models/iris/infer", b'{"inputs": []}', 400, '"inputs" is empty'),
]


@pytest.mark.parametrize(("path", "body", "status", "says"), REFUSED, ids=lambda item: str(item)[:40])
def test_a_refusal_is_kserves_json(site: Site, path: str, body: bytes, status: int, says: str) -> None:
    answer = site.ask("POST", path, body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"error"}
    assert says in answer.json["error"]
    assert len(answer.body) < 2000


@pytest.mark.parametrize("length", ["999999", "9" * 18, "9" * 5000])
def test_a_body_that_says_it_is_too_large_is_not_read(site: Site, length: str) -> None:
    answer = site.ask("POST", "/v1/models/iris:predict", BODY, headers={"content-length": length})
    assert answer.status == 413
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["0", "3", "", "x", "-5", "²", " 3"])
def test_a_length_that_lies_decides_nothing(site: Site, length: str) -> None:
    """The server underneath ends a body where its length says; here what came is what counts."""
    assert site.ask("POST", "/v1/models/iris:predict", BODY, headers={"content-length": length}).json == ANSWER
    pieces = [b" " * 300] * 10
    answer = site.ask("POST", "/v1/models/iris:predict", *pieces, headers={"content-length": length})
    assert answer.status == 413


def test_a_client_that_hangs_up_within_its_body_is_not_predicted(site: Site) -> None:
    answer = site.ask("POST", "/v1/models/iris:predict", BODY, end=False)
    assert answer.status == 400
    assert "hung up" in answer.json["error"]


@pytest.mark.parametrize("value", ["x", "9999", "-1", "9" * 5000, "²"])
def test_a_json_length_that_lies_is_refused(site: Site, value: str) -> None:
    answer = site.ask("POST", "/v2/models/iris/infer", V2_BODY, headers={"inference-header-content-length": value})
    assert answer.status == 400
    assert "Inference-Header-Content-Length" in answer.json["error"]


def test_explanations_have_the_bounds_and_errors_of_predictions(site: Site) -> None:
    answer = site.ask("POST", "/v1/models/iris:explain", BODY)
    assert (answer.status, answer.json) == (501, {"error": "model 'iris' (echo) does not explain its predictions"})
    assert site.ask("POST", "/v1/models/nobody:explain", BODY).status == 404
    assert site.ask("POST", "/v1/models/iris:explain", b" " * (LIMIT + 1)).status == 413


def test_a_failure_of_the_server_is_an_answer_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.repository, "ready", lambda *_: 1 / 0)
    answer = site.ask("POST", "/v1/models/iris:predict", BODY)
    assert (answer.status, answer.json) == (500, {"error": "ZeroDivisionError: division by zero"})


# what is left to the application behind


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/v1/models/iris:predict", "/v2/models/iris/infer"])
def test_other_methods_fall_through(site: Site, method: str, path: str) -> None:
    assert site.ask(method, path).status == 299


OTHERS = [
    ("POST", "/v1/models/iris"),
    ("POST", "/v1/models/iris:explain/"),
    ("POST", "/v1/models/iris:predict/"),
    ("POST", "/V1/models/iris:predict"),
    ("POST", "//v1/models/iris:predict"),
    ("POST", "/v2/models/iris/infer/"),
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/health/live"),
    ("HEAD", "/v2/health/live"),
    ("GET", "/v2/health/live/"),
    ("GET", "/v2/health"),
    ("GET", "/v2/repository/models/iris/load"),
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/metrics"),
]


@pytest.mark.parametrize(("method", "path"), OTHERS)
def test_other_paths_fall_through(site: Site, method: str, path: str) -> None:
    assert site.ask(method, path).status == 299
    assert site.behind.seen == [(method, path)]


@pytest.mark.parametrize(
    "headers",
    [
        {"ce-specversion": "1.0"},
        {"content-type": "application/cloudevents+json"},
        {"content-type": "Application/CloudEvents"},
    ],
    ids=str,
)
def test_cloudevents_are_left_to_kserve(site: Site, headers: dict[str, str]) -> None:
    assert site.ask("POST", "/v1/models/iris:predict", BODY, headers=headers).status == 299
    assert site.ask("POST", "/v1/models/iris:explain", BODY, headers=headers).status == 299


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_other_kinds_of_connection_fall_through(site: Site, kind: str) -> None:
    asyncio.run(site.routes({"type": kind, "path": "/v2/health/live"}, None, None))  # type: ignore[arg-type]
    assert site.behind.seen == [(kind, "")]


# health


def test_liveness_is_about_the_process(site: Site) -> None:
    answer = site.ask("GET", "/v2/health/live")
    assert (answer.status, answer.json) == (200, {"live": True})


def test_readiness_tells_the_truth(site: Site) -> None:
    answer = site.ask("GET", "/v2/health/ready")
    assert (answer.status, answer.json) == (200, {"ready": True})
    site.repository._lifecycle.scanned = False
    answer = site.ask("GET", "/v2/health/ready")
    assert answer.status == 503
    assert answer.json == {"ready": False, "error": "the server is not ready: 0 of 2 models are still loading"}


# loading and unloading

STRANGERS: list[Any] = [("203.0.113.9", 1), ("10.0.0.1", 1), ("127.0.0.1.evil", 1), ("", 1), None]
FRIENDS: list[Any] = [("127.0.0.1", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)]


@pytest.mark.parametrize("client", STRANGERS, ids=str)
@pytest.mark.parametrize("verb", ["load", "unload"])
def test_strangers_may_not_load_or_unload(site: Site, client: Any, verb: str) -> None:
    answer = site.ask("POST", f"/v2/repository/models/iris/{verb}", client=client)
    assert answer.status == 403
    assert answer.json["error"].startswith(
        "loading, unloading, promoting models and reading the log is open to this machine (loopback) only"
    )


def test_strangers_may_read_what_is_logged_and_not_change_it(site: Site) -> None:
    stranger = ("203.0.113.9", 1)
    assert site.ask("GET", "/v2/logging", client=stranger).status == 200
    answer = site.ask("POST", "/v2/logging", {"log_level": "debug"}, client=stranger)
    assert (answer.status, site.ask("GET", "/v2/logging").json["log_level"]) == (
        403,
        logging.getLevelName(logging.getLogger("kserve").getEffectiveLevel()).lower(),
    )
    assert site.ask("POST", "/v2/logging").status == 200


def test_strangers_may_not_read_what_a_model_prints(site: Site) -> None:
    answer = site.ask("GET", "/console/models/iris/log", client=("203.0.113.9", 1))
    assert answer.status == 403


def test_only_what_runs_beside_another_can_be_promoted(site: Site) -> None:
    answer = site.ask("POST", "/v2/repository/models/iris/promote")
    assert answer.status == 503
    assert "no version with `shadow: true`" in answer.json["error"]
    assert site.ask("POST", "/v2/repository/models/iris/promote", client=("203.0.113.9", 1)).status == 403


@pytest.mark.parametrize("client", FRIENDS, ids=str)
def test_this_machine_may(site: Site, client: Any) -> None:
    assert site.ask("POST", "/v2/repository/models/iris/load", client=client).json == {"name": "iris", "load": True}


@pytest.mark.parametrize("header", ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "origin"])
def test_a_proxy_on_this_machine_vouches_for_nobody(site: Site, header: str) -> None:
    answer = site.ask("POST", "/v2/repository/models/iris/load", headers={header: "127.0.0.1"})
    assert answer.status == 403


SPELLINGS = [
    "/v2/repository/models/iris/load",
    "/v2/repository/models/iris/unload",
    "/v2/repository/models/iris/load/",
    "/v2/repository/models//iris/load",
    "/v2/repository/models/iris//load",
    "//v2/repository/models/iris/load",
    "/v2//repository/models/iris/load",
    "/v2/repository//models/iris/load",
    "/v2/repository/./models/iris/load",
    "/v2/x/../repository/models/iris/load",
    "/v2/repository%2Fmodels/iris/load",
    "/v2%2Frepository%2Fmodels%2Firis%2Fload",
    "/%76%32/repository/models/iris/unload",
    "/v2/repository/models/iris/%6Coad",
    "/v2/repository/models/iris/load?x=1",
    "/v2/repository/models/iris/load;x",
    "/v2/repository/models/iris/load#x",
    "/v2/Repository/models/iris/load",
    "/V2/repository/models/iris/unload",
    "/v2/repository/models/iris/load%00",
    "/v2/repository/models/iris%2F..%2Firis/load",
]


@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_a_root_path_that_is_given_several_times_is_left_out_once(site: Site, times: int) -> None:
    """Starlette leaves it out as well: of a path that has it twice, it would reach what no guard has seen."""
    application = FastAPI()
    register_v2_endpoints(application, PolyDataPlane(site.repository), PolyRepositoryExtension(site.repository))
    app = Manners(Methods(Routes(application, site.repository, LIMIT), application.router.routes), "/ml")
    begun = "http://localhost" + "/ml" * times

    async def ask(host: str) -> tuple[list[int], str]:
        transport = httpx.ASGITransport(app, client=(host, 1))
        async with httpx.AsyncClient(transport=transport) as client:
            posted = [await client.post(f"{begun}/v2/repository/models/iris/{verb}") for verb in ("unload", "load")]
            allowed = await client.options(f"{begun}/v2/models")
            listed = await client.get(f"{begun}/v2/models")
            return [each.status_code for each in (*posted, listed)], allowed.headers.get("allow", "")

    is_ours = times < 2
    allow = "GET, HEAD, OPTIONS" if is_ours else ""
    assert asyncio.run(ask("203.0.113.9")) == ([403, 403, 200] if is_ours else [404] * 3, allow)
    assert site.repository.is_ready("iris")
    assert asyncio.run(ask("127.0.0.1"))[0] == ([200] * 3 if is_ours else [404] * 3)


@pytest.mark.slow
def test_no_spelling_of_the_path_lets_a_stranger_in(site: Site) -> None:
    """Before KServe's own routes: whatever the framework makes of the path, nothing is loaded or unloaded."""
    application = FastAPI()
    register_v2_endpoints(application, PolyDataPlane(site.repository), PolyRepositoryExtension(site.repository))
    routes = Routes(application, site.repository, LIMIT)
    before = (list(EchoAdapter.made), site.repository.index())

    async def ask(client: Any) -> list[int]:
        transport = httpx.ASGITransport(routes, raise_app_exceptions=False, client=client)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", follow_redirects=True
        ) as browser:
            return [(await browser.post(f"http://localhost{path}")).status_code for path in SPELLINGS]

    assert set(asyncio.run(ask(("203.0.113.9", 1)))) <= {403, 404, 405}
    assert (list(EchoAdapter.made), site.repository.index()) == before
    assert 200 in asyncio.run(ask(("127.0.0.1", 1)))
    assert len(EchoAdapter.made) > len(before[0])
