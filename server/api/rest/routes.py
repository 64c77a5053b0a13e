"""The routes that carry the load, straight on ASGI, ahead of KServe's FastAPI application.

    POST /v1/models/..., /v2/models/.../infer                predictions and explanations (`model_routes`)
    GET  /v2/models/{model}/versions/{version}[/ready]       of one version; it may be a label wherever it is named
    GET  /v2/health/live, /v2/health/ready
    TorchServe's routes: `predictions`

Everything else (lists, metadata, metrics, Swagger, CloudEvents) falls through to KServe's application. FastAPI's
routing, its request and response models and KServe's timing middleware are most of a small request's cost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import orjson

from server.api.access import Access
from server.api.kserve.dataplane import metadata
from server.api.rest.asgi import Answer, App, Handler, Receive, Scope, Send, answered, send_answer, sendable_headers
from server.api.rest.predict import V2, ModelRoutes, asked_of
from server.api.rest.torchserve import Predictions
from server.errors import JSON_HEADER, NotReady, ServingError, respond
from server.inference.passthrough_model import PassthroughModel
from server.inference.request import IsDisconnected
from server.repository.repository import Repository

ADMIN = "/v2/repository/models/"  #: loading and unloading: not open to everybody
METRICS = "/metrics"


class Routes:
    """An ASGI application in front of another."""

    def __init__(
        self,
        app: App,
        repository: Repository,
        max_body_bytes: int,
        access: Access | None = None,
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`refresh` is awaited before the metrics are read."""
        self._app = app
        self._refresh = refresh
        self._repository = repository
        self._max_body = max_body_bytes
        self._access = access or Access()
        self._models = ModelRoutes(repository)
        self._predictions = Predictions(repository)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := await self._wake(scope)):
            await send_answer(send, refusal)
        elif scope["type"] == "http" and (handler := self._handler(scope)):
            await send_answer(send, await answered(handler, scope, receive, self._max_body))
        else:
            if self._refresh is not None and scope.get("path") == METRICS:
                await self._refresh()
            await self._app(scope, receive, send)

    async def _wake(self, scope: Scope) -> Answer | None:
        """Bring back the model that the request is for; which way it goes from here depends on the model's kind."""
        asked = asked_of(scope["path"]) if scope["method"] == "POST" else None
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
            if handler := self._models.handler(scope):
                return handler
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

    def _is_whole(self, path: str) -> bool:
        """Whether it is a request to a model that reads whole requests, events included, itself."""
        asked = asked_of(path)
        return asked is not None and isinstance(self._repository.serving.get(asked.model), PassthroughModel)

    async def _whole(self, scope: Scope, body: bytes, gone: IsDisconnected) -> Answer:
        asked = asked_of(scope["path"])
        assert asked is not None
        model = await self._repository.ready(asked.model, asked.version)
        if not isinstance(model, PassthroughModel):
            raise NotReady(f"model {asked.model!r} has been replaced by one of another kind: try again")
        headers = {str(key, "latin-1"): str(value, "latin-1") for key, value in scope["headers"]}
        reply = await model.answer(asked.verb, asked.protocol, body, headers, gone)
        return reply.status if 200 <= reply.status < 600 else 500, sendable_headers(reply.headers), reply.body

    async def _ready(self, scope: Scope, body: bytes, gone: IsDisconnected) -> Answer:
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

    async def _version(self, scope: Scope, body: bytes, gone: IsDisconnected) -> Answer:
        """The metadata of one version, or whether it is ready; KServe's own route answers that it cannot."""
        name, _, version = scope["path"][len(V2) :].partition("/versions/")
        if not version.endswith("/ready"):
            return 200, [JSON_HEADER], orjson.dumps(await metadata(self._repository, name, version))
        version = version.removesuffix("/ready")
        if not self._repository.is_asleep(name, version):
            self._repository.ready_model(name, version)
        return 200, [JSON_HEADER], orjson.dumps({"name": name, "ready": True})


async def _live(scope: Scope, body: bytes, gone: IsDisconnected) -> Answer:
    return 200, [JSON_HEADER], b'{"live":true}'


async def _refuse(error: ServingError, scope: Scope, body: bytes, gone: IsDisconnected) -> Answer:
    raise error
