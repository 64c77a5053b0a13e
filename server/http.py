"""The routes that carry the load, straight on ASGI, ahead of KServe's FastAPI application.

    POST /v1/models/{model}:predict, :explain                V1
    POST /v2/models/{model}[/versions/{version}]/infer       V2, JSON and binary
    GET  /v2/models/{model}/versions/{version}[/ready]       of one version; it may be a label wherever it is named
    GET  /v2/health/live, /v2/health/ready
    TorchServe's routes: `predictions`

Everything else (lists, metadata, metrics, Swagger, CloudEvents) falls through to KServe's application. FastAPI's
routing, its request and response models and KServe's timing middleware are most of a small request's cost.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import orjson

from server.admin import Access
from server.codec.v2 import HEADER_LENGTH
from server.dataplane import metadata
from server.errors import (
    JSON_HEADER,
    Header,
    InvalidInput,
    NotReady,
    ServingError,
    TooLarge,
    as_serving_error,
    respond,
)
from server.exchange import Gone, present
from server.headers import sendable_headers, v2_headers
from server.heads import is_cloudevent
from server.predictions import Predictions
from server.repository import Repository, tensors
from server.whole import WholeModel

log = logging.getLogger("kserve")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Answer: TypeAlias = tuple[int, list[Header], bytes]
Handler: TypeAlias = Callable[[Scope, bytes, Gone], Awaitable[Answer]]

V1, V2 = "/v1/models/", "/v2/models/"
ADMIN = "/v2/repository/models/"  #: loading and unloading: not open to everybody
_DIGITS = 18  #: of a length; more are too large whatever follows


class Routes:
    """An ASGI application in front of another."""

    def __init__(self, app: App, repository: Repository, max_body_bytes: int, access: Access | None = None) -> None:
        self._app = app
        self._repository = repository
        self._max_body = max_body_bytes
        self._access = access or Access()
        self._predictions = Predictions(repository)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := await self._wake(scope)):
            await _send(send, refusal)
        elif scope["type"] == "http" and (handler := self._handler(scope)):
            await _send(send, await self._answer(handler, scope, receive))
        else:
            await self._app(scope, receive, send)

    async def _wake(self, scope: Scope) -> Answer | None:
        """Bring back the model that the request is for; which way it goes from here depends on the model's kind."""
        asked = _asked(scope["path"]) if scope["method"] == "POST" else None
        if asked is None or not self._repository.is_asleep(asked.model, asked.version):
            return None
        try:
            await self._repository.ready(asked.model, asked.version)
        except ServingError as error:
            return respond(error)
        return None

    def _handler(self, scope: Scope) -> Handler | None:
        path: str = scope["path"]
        if scope["method"] == "POST":
            if self._is_whole(path):
                return self._whole
            if path.startswith(V1) and path.endswith(":predict"):
                return None if is_cloudevent(scope["headers"]) else self._predict_v1
            if path.startswith(V1) and path.endswith(":explain"):
                return None if is_cloudevent(scope["headers"]) else self._explain_v1
            if path.startswith(V2) and path.endswith("/infer"):
                return self._infer_v2
            if path.startswith(ADMIN) and (refused := self._refused(scope)):
                return refused
        elif scope["method"] == "GET":
            if path == "/v2/health/live":
                return _live
            if path == "/v2/health/ready":
                return self._ready
            if path.startswith(V2) and "/versions/" in path:
                return self._version
        return self._predictions.handler(scope)

    async def _answer(self, handler: Handler, scope: Scope, receive: Receive) -> Answer:
        """Read the body, run the handler; every failure becomes an answer."""
        try:
            return await handler(scope, await self._body(scope, receive), _gone(receive))
        except TooLarge as error:
            status, headers, body = respond(error)
            return status, [*headers, (b"connection", b"close")], body  # the rest of the body is not read
        except ServingError as error:
            return respond(error)
        except Exception as error:
            log.exception("%s %s failed", scope["method"], scope["path"])
            return respond(as_serving_error(error))

    async def _predict_v1(self, scope: Scope, body: bytes, gone: Gone) -> Answer:
        model = tensors(await self._repository.ready(*_versioned(scope["path"][len(V1) : -len(":predict")])))
        return 200, [JSON_HEADER], await model.predict_v1(body, gone)

    async def _explain_v1(self, scope: Scope, body: bytes, gone: Gone) -> Answer:
        model = tensors(await self._repository.ready(*_versioned(scope["path"][len(V1) : -len(":explain")])))
        return 200, [JSON_HEADER], await model.explain_v1(body, gone)

    async def _infer_v2(self, scope: Scope, body: bytes, gone: Gone) -> Answer:
        name, named, version = scope["path"][len(V2) : -len("/infer")].partition("/versions/")
        model = tensors(await self._repository.ready(name, version if named else None))
        answer, json_length = await model.infer_v2(body, _header(scope, HEADER_LENGTH), gone)
        return 200, v2_headers(json_length), answer

    def _is_whole(self, path: str) -> bool:
        """Whether it is a request to a model that reads whole requests, events included, itself."""
        asked = _asked(path)
        return asked is not None and isinstance(self._repository.serving.get(asked.model), WholeModel)

    async def _whole(self, scope: Scope, body: bytes, gone: Gone) -> Answer:
        asked = _asked(scope["path"])
        assert asked is not None
        model = await self._repository.ready(asked.model, asked.version)
        if not isinstance(model, WholeModel):
            raise NotReady(f"model {asked.model!r} has been replaced by one of another kind: try again")
        headers = {str(key, "latin-1"): str(value, "latin-1") for key, value in scope["headers"]}
        reply = await model.answer(asked.verb, asked.protocol, body, headers, gone)
        return reply.status if 200 <= reply.status < 600 else 500, sendable_headers(reply.headers), reply.body

    async def _ready(self, scope: Scope, body: bytes, gone: Gone) -> Answer:
        if why := self._repository.why_not_ready():
            return 503, [JSON_HEADER], orjson.dumps({"ready": False, "error": f"the server is not ready: {why}"})
        return 200, [JSON_HEADER], b'{"ready":true}'

    def _refused(self, scope: Scope) -> Handler | None:
        """What tells a stranger that loading and unloading are not for him."""
        headers = {str(key, "latin-1"): str(value, "latin-1") for key, value in scope["headers"]}
        try:
            self._access.check((scope.get("client") or ("",))[0], headers)
        except ServingError as error:
            return partial(_refuse, error)
        return None

    async def _version(self, scope: Scope, body: bytes, gone: Gone) -> Answer:
        """The metadata of one version, or whether it is ready; KServe's own route answers that it cannot."""
        name, _, version = scope["path"][len(V2) :].partition("/versions/")
        if not version.endswith("/ready"):
            return 200, [JSON_HEADER], orjson.dumps(await metadata(self._repository, name, version))
        version = version.removesuffix("/ready")
        if not self._repository.is_asleep(name, version):
            self._repository.ready_model(name, version)
        return 200, [JSON_HEADER], orjson.dumps({"name": name, "ready": True})

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        length = _header(scope, b"content-length")
        if length is not None and length.isdecimal() and int(length[:_DIGITS]) > self._max_body:
            raise TooLarge(self._too_large(int(length[:_DIGITS])))
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise InvalidInput("the client hung up before the body was whole")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self._max_body:
                raise TooLarge(self._too_large(size))
            if not message.get("more_body"):
                return bytes(chunks[0]) if len(chunks) == 1 else b"".join(chunks)

    def _too_large(self, size: int) -> str:
        return f"the body holds {size} bytes or more, the limit is {self._max_body} (max_body_bytes)"


class _Asked(NamedTuple):
    """What a path asks of a model."""

    verb: str
    protocol: str
    model: str
    version: str | None = None


def _asked(path: str) -> _Asked | None:
    if path.startswith(V1):
        named, _, verb = path[len(V1) :].rpartition(":")
        return _Asked(verb, "v1", *_versioned(named)) if verb in ("predict", "explain") else None
    if path.startswith(V2) and path.endswith("/infer"):
        name, named, version = path[len(V2) : -len("/infer")].partition("/versions/")
        return _Asked("predict", "v2", name, version if named else None)
    return None


def _versioned(path: str) -> tuple[str, str | None]:
    """The model and the version of V1's path, as in TensorFlow Serving: m/versions/1, m/labels/stable."""
    name, named, version = path.partition("/versions/" if "/versions/" in path else "/labels/")
    return name, version if named else None


async def _live(scope: Scope, body: bytes, gone: Gone) -> Answer:
    return 200, [JSON_HEADER], b'{"live":true}'


async def _refuse(error: ServingError, scope: Scope, body: bytes, gone: Gone) -> Answer:
    raise error


async def _send(send: Send, answer: Answer) -> None:
    status, headers, body = answer
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _gone(receive: Receive) -> Gone:
    """Whether the client has hung up, asked of uvicorn's own request object: ASGI tells it only to who awaits it."""
    cycle: Any = getattr(receive, "__self__", None)
    return (lambda: bool(cycle.disconnected)) if hasattr(cycle, "disconnected") else present


def _header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None
