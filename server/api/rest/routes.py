"""The general way of a request over REST: routes straight on ASGI, ahead of KServe's FastAPI application.

    POST /v1/models/..., /v2/models/...                      predictions, explanations, streams (`predict`)
    GET  /v2/models/{model}/versions/{version}[/ready]       of one version; it may be a label wherever it is named
    GET  /v2/health/live, /v2/health/ready
    TorchServe's routes: `torchserve`

Everything else (lists, metadata, metrics, Swagger, CloudEvents) falls through to KServe's application. FastAPI's
routing, its request and response models and KServe's timing middleware are most of a small request's cost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import orjson

from server.api.access import Access
from server.api.kserve.dataplane import metadata
from server.api.rest.asgi import (
    App,
    BodyLimits,
    BoundedBody,
    Handler,
    Receive,
    Scope,
    Send,
    answered,
    send_whole,
    unread,
)
from server.api.rest.event_stream import send_events
from server.api.rest.head_cache import is_cloudevent
from server.api.rest.limits import Bodies
from server.api.rest.paths import V2, ModelPath, parse
from server.api.rest.predict import InferenceRoutes
from server.api.rest.torchserve import Predictions
from server.errors import ServingError
from server.inference.answer import JSON_HEADERS, Answer, StreamedAnswer
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
        bodies: Bodies | None = None,
    ) -> None:
        """`refresh` is awaited before the metrics are read; `bodies` are those of the process."""
        self._app = app
        self._refresh = refresh
        self._repository = repository
        self._limits = BodyLimits(max_body_bytes, bodies or Bodies())
        self._access = access or Access()
        self._inference = InferenceRoutes(repository)
        self._predictions = Predictions(repository)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif refusal := await self._wake(scope):
            await send_whole(send, refusal)
        elif handler := self._handler(scope):
            await send_answer(receive, send, await answered(handler, scope, receive, self._limits))
        else:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """To KServe's application, which would read a body of any size."""
        if self._refresh is not None and scope["path"] == METRICS:
            await self._refresh()
        with self._limits.bodies.share() as share:
            body = BoundedBody(scope, receive, send, self._limits.most, share.take)
            await self._app(scope, body.receive, body.send)

    async def _wake(self, scope: Scope) -> Answer | None:
        """Bring back the model that the request is for, before its body is read; who asks for none gets an answer."""
        asked = parse(scope["path"]) if scope["method"] == "POST" else None
        name, version = (asked.model, asked.version) if asked else self._predictions.model_of(scope)
        if name is None:
            return None
        try:
            if self._repository.is_asleep(name, version):
                await self._repository.ready(name, version)
            else:
                self._repository.ready_model(name, version)
        except ServingError as error:
            return unread(scope, error)
        return None

    def _handler(self, scope: Scope) -> Handler | None:
        path: str = scope["path"]
        if scope["method"] == "POST":
            if (asked := parse(path)) is not None:
                return self._inference.handler(asked) if self._is_ours(asked, scope) else None
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

    def _is_ours(self, asked: ModelPath, scope: Scope) -> bool:
        """KServe decodes events for models that do not read them."""
        if asked.protocol != "v1" or not is_cloudevent(scope["headers"]):
            return True
        return self._repository.reads_events(asked.model)

    async def _ready(self, scope: Scope, body: bytes, is_disconnected: IsDisconnected) -> Answer:
        if why := self._repository.why_not_ready():
            return Answer(503, JSON_HEADERS, orjson.dumps({"ready": False, "error": f"the server is not ready: {why}"}))
        return Answer(200, JSON_HEADERS, b'{"ready":true}')

    def _refused(self, scope: Scope) -> Handler | None:
        """What tells a stranger that loading and unloading are not for him."""
        headers = {str(key, "latin-1"): str(value, "latin-1") for key, value in scope["headers"]}
        try:
            self._access.check((scope.get("client") or ("",))[0], headers)
        except ServingError as error:
            return partial(_refuse, error)
        return None

    async def _version(self, scope: Scope, body: bytes, is_disconnected: IsDisconnected) -> Answer:
        """The metadata of one version, or whether it is ready; KServe's own route answers that it cannot."""
        name, _, version = scope["path"][len(V2) :].partition("/versions/")
        if not version.endswith("/ready"):
            return Answer(200, JSON_HEADERS, orjson.dumps(await metadata(self._repository, name, version)))
        version = version.removesuffix("/ready")
        if not self._repository.is_asleep(name, version):
            self._repository.ready_model(name, version)
        return Answer(200, JSON_HEADERS, orjson.dumps({"name": name, "ready": True}))


async def _live(scope: Scope, body: bytes, is_disconnected: IsDisconnected) -> Answer:
    return Answer(200, JSON_HEADERS, b'{"live":true}')


async def _refuse(error: ServingError, scope: Scope, body: bytes, is_disconnected: IsDisconnected) -> Answer:
    raise error


async def send_answer(receive: Receive, send: Send, answer: Answer | StreamedAnswer) -> None:
    """Send an answer, whole or in parts."""
    if isinstance(answer, StreamedAnswer):
        await send_events(receive, send, answer)
    else:
        await send_whole(send, answer)
