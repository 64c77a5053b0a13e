"""The routes of OpenAI's API: find the model, ask it, and answer, whole or in chunks, in OpenAI's shape."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any, NoReturn, TypeVar

import orjson

from server.api.credentials import KEY, check_model
from server.api.openai.chat_answers import ChatShape
from server.api.openai.completion_answers import CompletionShape
from server.api.openai.encoder_answers import encoder_codec
from server.api.openai.encoder_fields import EmbeddingRequest, EncoderRequest, RerankRequest, ScoreRequest
from server.api.openai.endpoints import (
    CHAT,
    COMPLETION,
    EMBEDDING,
    MODEL,
    MODELS,
    RERANK,
    RESPONSE,
    SCORE,
    TRANSCRIPTION,
    TRANSLATION,
    OpenAIPath,
    OpenAIPaths,
)
from server.api.openai.error_object import FieldRefused, ModelUnknown, error_answer, in_openai_shape
from server.api.openai.request_fields import (
    ChatRequest,
    CompletionRequest,
    GeneratingRequest,
    OpenAIRequest,
    packed,
    read_request,
)
from server.api.openai.response_answers import ResponseShape, new_id
from server.api.openai.response_fields import ResponseRequest
from server.api.openai.response_stream import ResponseStream
from server.api.openai.text_answers import ChunkShape, ChunkStream, whole_answer
from server.api.openai.transcription_answers import TASK, transcription_codec
from server.api.openai.transcription_form import read_transcription
from server.api.openai.written_texts import TASK as WRITES
from server.api.openai.written_texts import completion_codec, in_words_of_completions
from server.api.rest.asgi import Handler, Scope
from server.config.api_keys import ApiKey
from server.errors import InvalidInput, NotFound, ServingError, TooLong
from server.inference.answer import JSON_HEADERS, Answer, StreamedAnswer
from server.inference.body_readers import INLINE_BYTES, read_aside
from server.inference.generated_parts import GeneratedParts
from server.inference.model import ServedModel
from server.inference.request import InferenceRequest, IsDisconnected
from server.inference.taps import JobRequest
from server.repository.repository import Repository

_OWNER = "polyserve"
_R = TypeVar("_R", bound=OpenAIRequest)
_GENERATED: Mapping[str, type[GeneratingRequest]] = {
    CHAT: ChatRequest,
    COMPLETION: CompletionRequest,
    RESPONSE: ResponseRequest,
}
_ENCODED: Mapping[str, type[EncoderRequest]] = {EMBEDDING: EmbeddingRequest, RERANK: RerankRequest, SCORE: ScoreRequest}


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
                return _json({"object": "list", "data": [self._entry(name) for name in self._names(scope)]})
            if asked.action == MODEL:
                return _json(self._known(asked.model))
            if asked.action in _GENERATED:
                return await self._generate(asked.action, scope, body, is_disconnected)
            if asked.action in _ENCODED:
                return await self._encode(asked.action, scope, body, is_disconnected)
            if asked.action in (TRANSCRIPTION, TRANSLATION):
                return await self._hear(asked.action, scope, body, is_disconnected)
            self._no_route(scope)
        except ServingError as error:
            return error_answer(error)

    async def _generate(
        self, action: str, scope: Scope, body: bytes, is_disconnected: IsDisconnected
    ) -> Answer | StreamedAnswer:
        request = await _read(body, _GENERATED[action])
        check_model(scope.get(KEY), request.model)
        model = await self._model(request.model)
        if isinstance(request, CompletionRequest) and model.signature.task == WRITES:
            return await self._write(request, model, scope, body, is_disconnected)
        if not model.signature.generates:
            raise ModelUnknown(f"model {request.model!r} is no language model: {_use_of(model)}")
        head = ("generation", action, request.model, None, scope["headers"], packed(request.job()), is_disconnected)
        asked = JobRequest(*head, sent=body)
        try:
            return asked.shown(await self._generated(asked, request, model))
        except ServingError as error:
            return asked.shown(error_answer(error))

    async def _generated(
        self, asked: JobRequest, request: GeneratingRequest, model: ServedModel
    ) -> Answer | StreamedAnswer:
        """
        Raises:
            ServingError: the model's, before there is anything to send.
        """
        answer = await model.handle(asked)
        if isinstance(answer, Answer):  # the model refuses it
            return in_openai_shape(answer)
        parts = GeneratedParts(answer.parts, asked.is_disconnected)
        try:
            await parts.begin()
        except BaseException:
            await parts.aclose()
            raise
        now = int(time.time())
        if isinstance(request, ResponseRequest):
            response = ResponseShape(new_id("resp"), now, request)
            return ResponseStream(parts, response).answer() if request.stream else await whole_answer(parts, response)
        assert isinstance(request, ChatRequest | CompletionRequest)
        shape = _shape(request, now)
        if request.stream:
            return ChunkStream(parts, shape, wants_usage=request.wants_usage).answer()
        return await whole_answer(parts, shape)

    async def _write(
        self, request: CompletionRequest, model: ServedModel, scope: Scope, body: bytes, gone: IsDisconnected
    ) -> Answer | StreamedAnswer:
        """A text for each text, of a model that has no engine."""
        codec = completion_codec(request, model.signature)
        head = ("openai", "predict", request.model, None, scope["headers"], body, gone)
        try:
            return await model.handle(InferenceRequest(*head, codec=codec))
        except InvalidInput as error:
            raise in_words_of_completions(error) from error

    async def _encode(
        self, action: str, scope: Scope, body: bytes, is_disconnected: IsDisconnected
    ) -> Answer | StreamedAnswer:
        request = await _read(body, _ENCODED[action])
        check_model(scope.get(KEY), request.model)
        model = await self._model(request.model)
        if model.signature.task not in request.tasks:
            raise FieldRefused(f"model {request.model!r} {_other_use(model, action)}", "model")
        codec = encoder_codec(request, model.signature)
        head = ("openai", "predict", request.model, None, scope["headers"], body, is_disconnected)
        try:
            return await model.handle(InferenceRequest(*head, codec=codec))
        except TooLong as error:
            raise FieldRefused(str(error), request.texts_field, error.code) from error

    async def _hear(
        self, action: str, scope: Scope, body: bytes, is_disconnected: IsDisconnected
    ) -> Answer | StreamedAnswer:
        content_type = next((str(value, "latin-1") for key, value in scope["headers"] if key == b"content-type"), "")
        asked = (content_type, body, action == TRANSLATION)
        large = len(body) > INLINE_BYTES  # a form may be slow to read, and is no larger in memory
        request = await asyncio.to_thread(read_transcription, *asked) if large else read_transcription(*asked)
        check_model(scope.get(KEY), request.model)
        model = await self._model(request.model)
        if model.signature.task != TASK:
            raise FieldRefused(f"model {request.model!r} writes no speech down: {_use_of(model)}", "model")
        codec = transcription_codec(request, model.signature)
        head = ("openai", "predict", request.model, None, scope["headers"], body, is_disconnected)
        return await model.handle(InferenceRequest(*head, codec=codec))

    async def _model(self, name: str) -> ServedModel:
        """The model, which may have to be brought first.

        Raises:
            ModelUnknown: there is none.
            ServingError: it cannot be brought.
        """
        try:
            return await self._repository.ready(name)
        except NotFound as error:
            raise ModelUnknown(str(error)) from error

    # which there are

    def _names(self, scope: Scope) -> list[str]:
        """Models of language, those among them that a request would bring; of which nothing is known yet, too.

        A key is shown those that it is for.
        """
        key: ApiKey | None = scope.get(KEY)
        names = [name for name in self._repository.store.names() if self._repository.may_be_of_language(name)]
        return names if key is None else [name for name in names if key.allows(name)]

    def _known(self, name: str) -> dict[str, Any]:
        try:
            self._repository.check_known(name)
        except NotFound as error:
            raise ModelUnknown(str(error)) from error
        if not self._repository.may_be_of_language(name):
            raise ModelUnknown(f"model {name!r} is no language model, or not ready")
        return self._entry(name)

    def _entry(self, name: str) -> dict[str, Any]:
        model = self._repository.serving.get(name)
        created = self._started if model is None else int(time.time() - (time.monotonic() - model.born))
        return {"id": name, "object": "model", "created": created, "owned_by": _OWNER}

    def _no_route(self, scope: Scope) -> NoReturn:
        raise NotFound(f"there is no {scope['path']} here; there are {self._paths.shown}")


def _other_use(model: ServedModel, action: str) -> str:
    """Why a model does not answer such a request, and what it answers."""
    lacks = "gives no embeddings" if action == EMBEDDING else "gives neither scores of pairs nor embeddings"
    use = _use_of(model)
    return f"{lacks}{', ' if use.startswith('it ') else ': '}{use}"


def _use_of(model: ServedModel) -> str:
    """What a model answers, and by which route."""
    if model.signature.task == "score":
        return "it scores pairs: ask it by rerank or score"
    if model.signature.task == "embedding":
        return "it embeds texts: ask it by embeddings, rerank or score"
    if model.signature.task == TASK:
        return "it writes speech down: ask it by audio/transcriptions"
    if model.signature.task == WRITES:
        return "it writes a text for a text: ask it by completions"
    if model.signature.generates:
        return "it generates: ask it by chat/completions or completions"
    return f"ask it by /v1/models/{model.name}:predict"


def _shape(request: ChatRequest | CompletionRequest, now: int) -> ChunkShape:
    if isinstance(request, ChatRequest):
        identity, reasoning = f"chatcmpl-{uuid.uuid4().hex}", request.include_reasoning is not False
        return ChatShape(identity, now, request.model, request.n or 1, bool(request.logprobs), reasoning)
    return CompletionShape(f"cmpl-{uuid.uuid4().hex}", now, request.model, request.count, request.logprobs)


async def _read(body: bytes, kind: type[_R]) -> _R:
    """A body as the request that it is; a large one is read off the event loop."""
    return await read_aside(len(body), read_request, body, kind)


def _json(document: Any) -> Answer:
    return Answer(200, JSON_HEADERS, orjson.dumps(document))
