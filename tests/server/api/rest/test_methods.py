"""What may be done with a path: HEAD as GET, OPTIONS, 405 with what is allowed, and no redirects for a slash."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from fastapi import APIRouter, FastAPI

from server.api.openai.endpoints import OpenAIPaths
from server.api.rest.cors import Cors
from server.api.rest.methods import Methods


class Behind:
    """The routes: say how they were asked, or leave it to an application of FastAPI's."""

    def __init__(self, fast: FastAPI) -> None:
        self.fast = fast
        self.seen: list[tuple[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append((scope["method"], scope["path"]))
        if scope["path"].startswith("/fast"):
            await self.fast(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


def site(*origins: str, credentials: bool = False) -> tuple[Methods, Behind]:
    fast = FastAPI()
    fast.add_api_route("/fast/{name}", lambda name: name, methods=["GET"])
    fast.add_api_route("/fast/{name}", lambda name: name, methods=["DELETE"])
    router = APIRouter()  # as KServe's application has its routes
    router.add_api_route("/fast/in/{name}", lambda name: name, methods=["GET"])
    router.add_api_route("/fast/in/{name}", lambda name: name, methods=["PUT"])
    fast.include_router(router)
    behind = Behind(fast)
    return Methods(behind, fast.router.routes, Cors(origins, credentials=credentials)), behind


def ask(methods: Methods, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": method, "path": unquote(path), "raw_path": path.encode(), "headers": listed,
        "query_string": b"", "root_path": "",
    }  # fmt: skip
    asyncio.run(methods(scope, receive, send))
    start, *bodies = sent
    received = {key.decode(): value.decode() for key, value in start["headers"]}
    return start["status"], received, b"".join(each.get("body", b"") for each in bodies)


PREDICT = [
    "/v1/models/m:predict", "/v1/models/m:explain", "/v1/models/m/versions/1:predict", "/v2/models/m/infer",
    "/v2/models/m/versions/1/infer", "/v2/models/m/generate", "/v2/models/m/generate_stream", "/v2/models/m/infer/",
]  # fmt: skip


@pytest.mark.parametrize("path", PREDICT)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE"])
def test_predictions_are_asked_by_post(path: str, method: str) -> None:
    methods, behind = site()
    status, headers, body = ask(methods, method, path)
    assert (status, headers["allow"]) == (405, "POST, OPTIONS")
    assert f"is asked by POST, not by {method}" in orjson.loads(body)["error"]
    assert not behind.seen
    assert ask(methods, "POST", path)[0] == 200


def test_torchserves_are_asked_by_put_as_well() -> None:
    methods, _ = site()
    for path in ("/predictions/m", "/explanations/m/1.0"):
        assert ask(methods, "PUT", path)[0] == 200
        assert ask(methods, "GET", path)[:2][1]["allow"] == "POST, PUT, OPTIONS"


def test_torchserves_health_is_asked_by_get() -> None:
    methods, behind = site()
    for method in ("POST", "PUT", "DELETE"):
        status, headers, _ = ask(methods, method, "/ping")
        assert (status, headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert not behind.seen
    assert ask(methods, "GET", "/ping")[0] == 200


def test_what_others_refuse_names_all_that_is_allowed() -> None:
    methods, _ = site()
    for method in ("POST", "PATCH"):
        for path, others in (("/fast/a", "DELETE"), ("/fast/in/a", "PUT")):
            status, headers, _ = ask(methods, method, path)
            assert (status, headers["allow"]) == (405, f"GET, HEAD, {others}, OPTIONS")


@pytest.mark.parametrize("path", ["/v2/health/live", "/", "/ping", "/metrics", "/v2/models/m"])
def test_head_is_asked_as_get(path: str) -> None:
    methods, behind = site()
    status, headers, _ = ask(methods, "HEAD", path)
    assert (status, headers["content-length"]) == (200, "2")
    assert behind.seen == [("GET", path)]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/v2/health/live", "GET, HEAD, OPTIONS"), ("/v1/models/m:predict", "POST, OPTIONS"),
     ("/v2/repository/models/m/promote", "POST, OPTIONS"),
     ("/fast/a", "GET, HEAD, DELETE, OPTIONS"), ("*", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS")],
)  # fmt: skip
def test_options_says_what_is_allowed(path: str, allowed: str) -> None:
    methods, behind = site()
    status, headers, body = ask(methods, "OPTIONS", path)
    assert (status, headers["allow"], body) == (200, allowed, b"")
    assert not behind.seen


@pytest.mark.parametrize(
    ("path", "found"),
    [("/v2/", "/v2"), ("/v2/health/live/", "/v2/health/live"), ("/v2/models/m//", "/v2/models/m"), ("/", "/"),
     ("//", "/"), ("/v1/models/a%2F", "/v1/models/a")],
)  # fmt: skip
def test_a_slash_behind_is_left_out(path: str, found: str) -> None:
    methods, behind = site()
    assert ask(methods, "GET", path)[0] == 200
    assert behind.seen == [("GET", found)]


def test_other_kinds_of_connection_fall_through() -> None:
    kinds = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kinds.append(scope["type"])

    asyncio.run(Methods(app, [])({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert kinds == ["lifespan"]


def openai() -> tuple[Methods, Behind]:
    behind = Behind(FastAPI())
    return Methods(behind, [], Cors(()), OpenAIPaths("/openai")), behind


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/openai/v1/chat/completions", "POST, OPTIONS"), ("POST", "/openai/v1/models", "GET, HEAD, OPTIONS"),
     ("PUT", "/v1/completions", "POST, OPTIONS")],
)  # fmt: skip
def test_other_methods_of_openai_s_paths_are_told_in_its_shape(method: str, path: str, allowed: str) -> None:
    methods, behind = openai()
    status, headers, body = ask(methods, method, path)
    assert (status, headers["allow"]) == (405, allowed)
    assert orjson.loads(body)["error"]["type"] == "invalid_request_error"
    assert not behind.seen


def test_openai_s_paths_go_on_by_their_methods() -> None:
    methods, behind = openai()
    for method, path in (("POST", "/v1/chat/completions"), ("HEAD", "/openai/v1/models"), ("GET", "/openai/v1/x")):
        assert ask(methods, method, path)[0] == 200
    assert behind.seen == [("POST", "/v1/chat/completions"), ("GET", "/openai/v1/models"), ("GET", "/openai/v1/x")]
    assert ask(methods, "OPTIONS", "/openai/v1/completions")[1]["allow"] == "POST, OPTIONS"


def test_options_of_the_root_are_the_description_of_all_routes() -> None:
    """As TorchServe answers them; the header is there as everywhere."""
    methods, behind = site()
    behind.fast.add_api_route("/", lambda: "alive", methods=["GET"])
    status, headers, body = ask(methods, "OPTIONS", "/")
    assert (status, headers["allow"], body) == (200, "GET, HEAD, OPTIONS", b"ok")
    assert behind.seen == [("GET", "/openapi.json")]


def test_torchserves_management_is_asked_by_get() -> None:
    methods, _ = site()
    assert ask(methods, "OPTIONS", "/models")[1]["allow"] == "GET, HEAD, OPTIONS"
