"""The routes of a front process: a request for a copy is answered here, any other by the main process.

The same two ways as there: the short one of small requests (`server.api.rest.fast_protocol`), and the general one
(`server.api.rest.routes`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from server.api.bodies import Bodies
from server.api.credentials import CARRIERS, KEY, KeyGuard
from server.api.rest.asgi import App, BodyLimits, Receive, Scope, Send, answered, header
from server.api.rest.fast_protocol import FastProtocol, ServerContext
from server.api.rest.head_cache import ParsedHead, is_cloudevent
from server.api.rest.keyed_routes import KeyedRoutes
from server.api.rest.paths import ModelPath, asked_by
from server.api.rest.predict import InferenceRoutes
from server.api.rest.routes import send_answer
from server.errors import InvalidInput
from server.frontends.copy_repository import CopyRepository
from server.frontends.forwarding import UPSTREAMS, answer, forward, target_of
from server.frontends.upstream_pool import UpstreamPool
from server.inference.answer import Answer, StreamedAnswer
from server.inference.request import IsDisconnected


class FrontendProtocol(FastProtocol):
    """A client's connection, which has connections of its own to the main process (`UpstreamPool`).

    The short way: `HeadCache.parse` --> a copy; where there is none, the request takes the general way.
    """

    def __init__(self, path: Path, copies: CopyRepository, context: ServerContext, **uvicorns: Any) -> None:
        """`path` is the main process's socket."""
        super().__init__(context, **uvicorns)
        self._path = path
        self._copies = copies
        self._upstreams: UpstreamPool

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._upstreams = UpstreamPool(self._path, self.client, self.server)
        self.app_state = {**self.app_state, UPSTREAMS: self._upstreams}

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstreams.close()
        super().connection_lost(exc)

    def _ask(self, head: ParsedHead, body: bytes) -> None:
        if self._copies.answers_whole(head.model, head.version):
            super()._ask(head, body)
        else:  # the copy was withdrawn while the body was coming
            self._background = asyncio.create_task(self._hand_on(head, body))

    async def _hand_on(self, head: ParsedHead, body: bytes) -> None:
        try:
            self._write(*await answer(self._upstreams, "POST", head.path, head.sent, body))
        except Exception as error:
            self._fail(head, error)


class FrontendRoutes:
    """The general way, as an ASGI application."""

    def __init__(
        self, copies: CopyRepository, max_body: int, bodies: Bodies | None = None, keys: KeyGuard | None = None
    ) -> None:
        """`keys`: who may ask; requests that are handed on are asked for theirs again."""
        self._copies = copies
        self._answer: App = self._answer_here if keys is None else KeyedRoutes(self._answer_here, keys, hides=False)
        self._models = InferenceRoutes(copies)
        self._limits = BodyLimits(max_body, bodies or Bodies())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_here(scope):
            await self._answer(scope, receive, send)
        else:
            await forward(scope, receive, send)

    async def _answer_here(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_answer(receive, send, await answered(self._here, scope, receive, self._limits))

    def _is_here(self, scope: Scope) -> bool:
        asked = _asked(scope) if scope["method"] == "POST" else None
        here = asked is not None and self._copies.answers_whole(asked.model, asked.version)
        return here and not is_cloudevent(scope["headers"]) and header(scope, b"origin") is None

    async def _here(self, scope: Scope, body: bytes, is_disconnected: IsDisconnected) -> Answer | StreamedAnswer:
        asked = _asked(scope) if self._is_here(scope) else None
        if asked is None:  # the copy was withdrawn while the body was coming
            upstreams = scope["state"][UPSTREAMS]
            return await answer(upstreams, scope["method"], target_of(scope), scope["headers"], body)
        if KEY in scope:
            scope = {**scope, "headers": [each for each in scope["headers"] if each[0] not in CARRIERS]}
        return await self._models.handler(asked)(scope, body, is_disconnected)


def _asked(scope: Scope) -> ModelPath | None:
    """What a POST asks of a model; one that contradicts itself is the main process's to refuse."""
    try:
        return asked_by(scope)
    except InvalidInput:
        return None
