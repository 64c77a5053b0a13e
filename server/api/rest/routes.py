"""The general way of a request over REST: routes straight on ASGI, ahead of KServe's FastAPI application.

    POST /v1/models/..., /v2/models/...                      predictions, explanations, streams (`predict`)
    GET  /v1/models/{model}..., /v2/models/{model}...        what is told of models (`facts`)
    GET  /v2/health/live, /v2/health/ready
    POST /invocations                                        predictions of the only model that there is
    TorchServe's routes: `torchserve`, `torchserve_management`; OpenAI's: `api.openai`

Everything else (lists, the server's metadata, metrics, Swagger, CloudEvents) falls through to KServe's application.
FastAPI's routing, its request and response models and KServe's timing middleware are most of a small request's cost.
"""

from __future__ import annotations

import asyncio

import orjson

from server.api.access import HOST, Access
from server.api.bodies import Bodies
from server.api.credentials import KEY, shown_to
from server.api.lookup import Refresh, nothing_new
from server.api.openai.endpoints import OpenAIPaths
from server.api.openai.error_object import in_openai_shape
from server.api.openai.openai_routes import OpenAIRoutes
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
    with_root,
)
from server.api.rest.event_stream import send_events
from server.api.rest.facts import ModelFacts
from server.api.rest.head_cache import is_cloudevent
from server.api.rest.paths import INVOCATIONS, ModelPath, asked_by, facts_asked_by, of_the_only, refusal
from server.api.rest.predict import InferenceRoutes
from server.api.rest.repository_routes import ADMIN, RepositoryRoutes, check_served, is_admin
from server.api.rest.torchserve import Predictions
from server.api.rest.torchserve_management import Management
from server.api.triton.server_settings import ChangeLevel
from server.errors import ServingError
from server.inference.answer import JSON_HEADERS, Answer, StreamedAnswer
from server.inference.request import IsDisconnected
from server.repository.repository import Repository
from server.runtime import logs

METRICS = "/metrics"
OPENAI = "/openai"  #: KServe's prefix, unless it is set otherwise


class Routes:
    """An ASGI application in front of another."""

    def __init__(
        self,
        app: App,
        repository: Repository,
        max_body_bytes: int,
        access: Access | None = None,
        refresh: Refresh = nothing_new,
        bodies: Bodies | None = None,
        openai: OpenAIPaths | None = None,
        change_level: ChangeLevel = logs.set_level,
    ) -> None:
        """`refresh` is awaited before what is counted is read; `bodies` are those of the process; `change_level` is
        called with a new level of the log."""
        self._app = app
        self._refresh = refresh
        self._repository = repository
        self._limits = BodyLimits(max_body_bytes, bodies or Bodies())
        self._access = access or Access()
        self._inference = InferenceRoutes(repository)
        self._facts = ModelFacts(repository, refresh, change_level)
        self._predictions = Predictions(repository)
        self._management = Management(repository)
        self._loading = RepositoryRoutes(repository)
        self._openai = OpenAIRoutes(repository, openai or OpenAIPaths(OPENAI))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (generating := self._openai.handler(scope)) is not None:
            answer = await answered(generating, scope, receive, self._limits)
            await send_answer(receive, send, in_openai_shape(answer) if isinstance(answer, Answer) else answer)
            return
        try:
            handler = await self._handler(scope)
        except ServingError as error:
            await send_whole(send, unread(scope, error))
            return
        if handler is not None:
            await send_answer(receive, send, await answered(handler, scope, receive, self._limits))
        else:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """To KServe's application, which would read a body of any size."""
        if scope["path"] == METRICS:
            await asyncio.gather(self._refresh(), self._repository.user_metrics.refresh())
        scope = with_root(scope)
        with self._limits.bodies.share() as share:
            body = BoundedBody(scope, receive, send, self._limits.most, share.take)
            await self._app(scope, body.receive, body.send)

    async def _handler(self, scope: Scope) -> Handler | None:
        """What answers the request; None: the application behind.

        Raises:
            ServingError: it is answered without its body.
        """
        path, method = scope["path"], scope["method"]
        check_served(path)
        if is_admin(scope):
            self._check_access(scope)
        if method == "POST":
            if (asked := self._asked(scope)) is not None:
                await self._wake(asked.model, asked.version)
                return self._inference.handler(asked) if self._is_ours(asked, scope) else None
            if (refused := refusal(path)) is not None:
                raise refused
            if path.startswith(ADMIN):
                return self._loading.handler(path)
        elif method == "GET":
            if path == "/v2/health/live":
                return _live
            if path == "/v2/health/ready":
                return self._ready
            if (asked := facts_asked_by(scope)) is not None:
                return self._facts.handler(asked)
        name, version = self._predictions.model_of(scope)
        if name is not None:
            await self._wake(name, version)
        if method in ("GET", "POST") and (settings := self._facts.settings_handler(path)) is not None:
            return settings
        return self._predictions.handler(scope) or self._management.handler(scope)

    def _asked(self, scope: Scope) -> ModelPath | None:
        """What a POST asks of a model.

        Raises:
            InvalidInput, NotFound: it is not clear of which.
        """
        if scope["path"] == INVOCATIONS:
            return of_the_only([name for name in self._repository.store.names() if shown_to(scope.get(KEY), name)])
        return asked_by(scope)

    async def _wake(self, name: str, version: str | None) -> None:
        """Bring back the model that the request is for, before its body is read.

        Raises:
            ServingError: it cannot be, or there is none.
        """
        if self._repository.is_asleep(name, version):
            await self._repository.ready(name, version)
        else:
            self._repository.ready_model(name, version)

    def _is_ours(self, asked: ModelPath, scope: Scope) -> bool:
        """KServe decodes events for models that do not read them."""
        if asked.protocol != "v1" or not is_cloudevent(scope["headers"]):
            return True
        return self._repository.reads_events(asked.model)

    async def _ready(self, scope: Scope, body: bytes, is_disconnected: IsDisconnected) -> Answer:
        if why := self._repository.why_not_ready():
            return Answer(503, JSON_HEADERS, orjson.dumps({"ready": False, "error": f"the server is not ready: {why}"}))
        return Answer(200, JSON_HEADERS, b'{"ready":true}')

    def _check_access(self, scope: Scope) -> None:
        """
        Raises:
            Unauthorized, Forbidden: loading and unloading, and what else changes the server, are not for who asks.
        """
        headers: dict[str, str] = {}
        for key, value in scope["headers"]:  # two hosts are no host: somebody on the way may believe the other
            before = headers.get(name := str(key, "latin-1"))
            headers[name] = str(value, "latin-1") if before is None else f"{before}, {str(value, 'latin-1')}"
        headers.setdefault(HOST, "")  # of HTTP/1.0: whoever on this machine asks by a name of its own says so
        self._access.check((scope.get("client") or ("",))[0], headers)


async def _live(scope: Scope, body: bytes, is_disconnected: IsDisconnected) -> Answer:
    return Answer(200, JSON_HEADERS, b'{"live":true}')


async def send_answer(receive: Receive, send: Send, answer: Answer | StreamedAnswer) -> None:
    """Send an answer, whole or in parts."""
    if isinstance(answer, StreamedAnswer):
        await send_events(receive, send, answer)
    else:
        await send_whole(send, answer)
