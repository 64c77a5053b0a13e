"""The routes of OpenAI's API: find the model, ask it, and answer, whole or in chunks, in OpenAI's shape."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any, NoReturn

import orjson

from server.api.openai.chat_answers import ChatShape
from server.api.openai.completion_answers import CompletionShape
from server.api.openai.endpoints import CHAT, COMPLETION, MODEL, MODELS, OpenAIPath, OpenAIPaths
from server.api.openai.error_object import ModelUnknown, error_answer, in_openai_shape
from server.api.openai.request_fields import ChatRequest, CompletionRequest, TextRequest, packed, read_request
from server.api.openai.text_answers import ChunkStream, Shape, whole_answer
from server.api.rest.asgi import Handler, Scope
from server.errors import NotFound, ServingError
from server.inference.answer import JSON_HEADERS, Answer, StreamedAnswer
from server.inference.generated_parts import GeneratedParts
from server.inference.model import ServedModel
from server.inference.request import InferenceRequest, IsDisconnected
from server.repository.repository import Repository

_OWNER = "polyserve"
_REQUESTS: Mapping[str, type[TextRequest]] = {CHAT: ChatRequest, COMPLETION: CompletionRequest}


class OpenAIRoutes:
    """Answers such requests from the models of a repository."""

    def __init__(self, repository: Repository, paths: OpenAIPaths) -> None:
        self._repository = repository
        self._paths = paths
        self._started = int(time.time())

    def handler(self, scope: Scope) -> Handler | None:
        """What answers the request; None: it is another API's, or its method is wrong."""
        asked = self._paths.parse(scope["path"])
        if asked is None or (asked.verb and asked.verb != scope["method"]):
            return None
        return partial(self._answer, asked)

    async def _answer(
        self, asked: OpenAIPath, scope: Scope, body: bytes, is_disconnected: IsDisconnected
    ) -> Answer | StreamedAnswer:
        try:
            if asked.action == MODELS:
                return _json({"object": "list", "data": [self._entry(name) for name in self._names()]})
            if asked.action == MODEL:
                return _json(self._known(asked.model))
            if asked.action in _REQUESTS:
                return await self._generate(asked.action, scope, body, is_disconnected)
            self._no_route(scope)
        except ServingError as error:
            return error_answer(error)

    async def _generate(
        self, action: str, scope: Scope, body: bytes, is_disconnected: IsDisconnected
    ) -> Answer | StreamedAnswer:
        request = read_request(body, _REQUESTS[action])
        model = await self._model(request.model)
        asked = InferenceRequest(
            "generation", action, request.model, None, scope["headers"], packed(request.job()), is_disconnected
        )
        answer = await model.handle(asked)
        if isinstance(answer, Answer):  # the model refuses it
            return in_openai_shape(answer)
        parts = GeneratedParts(answer.parts, is_disconnected)
        try:
            await parts.begin()
        except BaseException:
            await parts.aclose()
            raise
        shape = _shape(request)
        if request.stream:
            return ChunkStream(parts, shape, wants_usage=request.wants_usage).answer()
        return await whole_answer(parts, shape)

    async def _model(self, name: str) -> ServedModel:
        """The model, which may have to be brought first.

        Raises:
            ModelUnknown: there is none, or it does not generate.
            ServingError: it cannot be brought.
        """
        try:
            model = await self._repository.ready(name)
        except NotFound as error:
            raise ModelUnknown(str(error)) from error
        if not model.signature.generates:
            raise ModelUnknown(f"model {name!r} is no language model: ask it by /v1/models/{name}:predict")
        return model

    # which there are

    def _names(self) -> list[str]:
        """Models that generate, those among them that a request would bring; of which nothing is known yet, too."""
        return [name for name in self._repository.store.names() if self._repository.may_generate(name)]

    def _known(self, name: str) -> dict[str, Any]:
        try:
            self._repository.check_known(name)
        except NotFound as error:
            raise ModelUnknown(str(error)) from error
        if not self._repository.may_generate(name):
            raise ModelUnknown(f"model {name!r} is no language model, or not ready")
        return self._entry(name)

    def _entry(self, name: str) -> dict[str, Any]:
        model = self._repository.serving.get(name)
        created = self._started if model is None else int(time.time() - (time.monotonic() - model.born))
        return {"id": name, "object": "model", "created": created, "owned_by": _OWNER}

    def _no_route(self, scope: Scope) -> NoReturn:
        raise NotFound(f"there is no {scope['path']} here; there are {self._paths.shown}")


def _shape(request: TextRequest) -> Shape:
    now = int(time.time())
    if isinstance(request, ChatRequest):
        return ChatShape(f"chatcmpl-{uuid.uuid4().hex}", now, request.model, request.n or 1, bool(request.logprobs))
    assert isinstance(request, CompletionRequest)
    return CompletionShape(f"cmpl-{uuid.uuid4().hex}", now, request.model, request.count, request.logprobs)


def _json(document: Any) -> Answer:
    return Answer(200, JSON_HEADERS, orjson.dumps(document))
