"""Middleware of a `model.py` around its model's requests: headers, refusals, changes, streams; gRPC goes past it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse

from adapters.base import InvalidInput, Reply, ReplyStream, Request
from adapters.custom_.middleware import Stack
from adapters.custom_.streams import EncodedParts, items_of


def request(protocol: str = "v1", verb: str = "predict", **headers: str) -> Request:
    return Request(verb, protocol, b'{"instances": [1]}', {"content-type": "application/json", **headers})


async def echo(request: Request) -> Reply:
    if request.body == b"bad":
        raise InvalidInput("bad body")
    return Reply(request.body, {"content-type": "application/json", "x-seen": request.headers.get("x-added", "")})


def through(app: FastAPI, asked: Request, answer: Any = echo) -> Any:
    return asyncio.run(Stack(app, app.user_middleware, "m").around(asked, answer))


@pytest.fixture
def app() -> FastAPI:
    return FastAPI()


def test_an_answer_gets_the_headers_of_every_layer(app: FastAPI) -> None:
    app.add_middleware(CORSMiddleware, allow_origins=["*"])

    @app.middleware("http")
    async def stamped(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-path"] = request.url.path
        return response

    reply = through(app, request(origin="http://somewhere"))
    assert (reply.status, reply.body) == (200, b'{"instances": [1]}')
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["x-path"] == "/v1/models/m:predict"
    assert "content-length" not in reply.headers


def test_a_layer_may_refuse_or_change_a_request(app: FastAPI) -> None:
    @app.middleware("http")
    async def guarded(request: Any, call_next: Any) -> Any:
        if request.headers.get("x-key") != "k":
            return JSONResponse({"error": "no key"}, 401)
        request.scope["headers"].append((b"x-added", b"here"))
        return await call_next(request)

    refused = through(app, request())
    assert (refused.status, refused.body) == (401, b'{"error":"no key"}')
    assert through(app, request(**{"x-key": "k"})).headers["x-seen"] == "here"


def test_the_first_layer_is_outermost(app: FastAPI) -> None:
    class Marking:
        def __init__(self, app: Any, mark: bytes) -> None:
            self.app, self.mark = app, mark

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app({**scope, "headers": [*scope["headers"], (b"x-added", self.mark)]}, receive, send)

    app.add_middleware(Marking, mark=b"inner")
    app.add_middleware(Marking, mark=b"outer")
    assert through(app, request()).headers["x-seen"] == "inner"  # the last to write


def test_a_body_that_a_layer_packs_is_sent_packed(app: FastAPI) -> None:
    import gzip

    app.add_middleware(GZipMiddleware, minimum_size=1)
    reply = through(app, request(**{"accept-encoding": "gzip"}))
    assert reply.headers["content-encoding"] == "gzip"
    assert gzip.decompress(reply.body) == b'{"instances": [1]}'


def test_errors_of_the_model_come_through(app: FastAPI) -> None:
    @app.middleware("http")
    async def plain(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    asked = Request("predict", "v1", b"bad", {})
    with pytest.raises(InvalidInput, match="bad body"):
        through(app, asked)


def test_a_stream_keeps_its_parts_and_gets_the_headers(app: FastAPI) -> None:
    @app.middleware("http")
    async def stamped(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-stamp"] = "1"
        return response

    async def parts() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def answer(request: Request) -> ReplyStream:
        items = items_of(parts())
        assert items is not None
        return ReplyStream(await EncodedParts(items, lambda item: item.encode(), RuntimeError).begin(), {})

    async def main() -> None:
        stream = await Stack(app, app.user_middleware, "m").around(request("v2", "generate_stream"), answer)
        assert isinstance(stream, ReplyStream)
        assert stream.headers["x-stamp"] == "1"
        assert [part async for part in stream.parts] == [b"a", b"b"]
        await stream.parts.aclose()

    asyncio.run(main())


def test_grpc_goes_past_it(app: FastAPI) -> None:
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    reply = through(app, request("grpc", origin="http://somewhere"))
    assert "access-control-allow-origin" not in reply.headers
