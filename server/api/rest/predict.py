"""The routes that carry the load: what a model predicts, explains or generates (`paths` is their grammar).

Every one of them is the same: find the model, hand it the request, send what it answers, whole or in parts.
"""

from __future__ import annotations

from functools import partial

from server.api.lookup import Models
from server.api.rest.asgi import Handler, Scope, header
from server.api.rest.paths import ModelPath
from server.codec.v2 import HEADER_LENGTH
from server.inference.answer import Answer, StreamedAnswer
from server.inference.request import InferenceRequest, IsDisconnected


class InferenceRoutes:
    """Answers such requests from the models of a repository, or from copies of them."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def handler(self, asked: ModelPath) -> Handler:
        """What answers a POST to this path."""
        return partial(self._handle, asked)

    async def _handle(
        self, asked: ModelPath, scope: Scope, body: bytes, is_disconnected: IsDisconnected
    ) -> Answer | StreamedAnswer:
        model = await self._models.ready(asked.model, asked.version)
        request = InferenceRequest(
            asked.protocol,
            asked.verb,
            asked.model,
            asked.version,
            scope["headers"],
            body,
            is_disconnected,
            json_length=header(scope, HEADER_LENGTH),
        )
        return await model.handle(request)
