"""The routes of a front process: a request for a copy is answered here, any other by the main process.

The same two ways as there: the short one of small requests (`server.protocol`), and the general one (`server.http`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from server.asgi import Answer, Receive, Scope, Send, answered, send_answer
from server.exchange import Gone
from server.fronts.forward import Forward, target_of
from server.fronts.mirror import Mirror
from server.heads import Plan, is_cloudevent
from server.model_routes import ModelRoutes, asked_of
from server.protocol import HotProtocol, Shared


class FrontProtocol(HotProtocol):
    """The short way: `Heads.plan` --> a copy; where there is none, the request takes the general way."""

    def __init__(self, forward: Forward, mirror: Mirror, shared: Shared, **uvicorns: Any) -> None:
        super().__init__(shared, **uvicorns)
        self._forward = forward
        self._mirror = mirror

    def _ask(self, plan: Plan, body: bytes) -> None:
        if self._mirror.takes_tensors(plan.model, plan.version):
            super()._ask(plan, body)
        else:  # the copy was withdrawn while the body was coming
            self._waking = asyncio.create_task(self._hand_on(plan, body))

    async def _hand_on(self, plan: Plan, body: bytes) -> None:
        try:
            self._write(*await self._forward.answer("POST", plan.path, plan.headers, body))
        except Exception as error:
            self._fail(plan, error)


class FrontRoutes:
    """The general way, as an ASGI application."""

    def __init__(self, forward: Forward, mirror: Mirror, max_body: int) -> None:
        self._forward = forward
        self._mirror = mirror
        self._models = ModelRoutes(mirror)
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_here(scope):
            await send_answer(send, await answered(self._here, scope, receive, self._max_body))
        else:
            await self._forward(scope, receive, send)

    def _is_here(self, scope: Scope) -> bool:
        asked = asked_of(scope["path"]) if scope["method"] == "POST" else None
        here = asked is not None and self._mirror.takes_tensors(asked.model, asked.version)
        return here and not is_cloudevent(scope["headers"])

    async def _here(self, scope: Scope, body: bytes, gone: Gone) -> Answer:
        handler = self._models.handler(scope) if self._is_here(scope) else None
        if handler is None:  # the copy was withdrawn while the body was coming
            return await self._forward.answer(scope["method"], target_of(scope), scope["headers"], body)
        return await handler(scope, body, gone)
