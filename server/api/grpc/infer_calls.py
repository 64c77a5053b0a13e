"""`ModelInfer` and `ModelStreamInfer`: thin shells around the models of a repository, or copies of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.api.grpc.callers import Callers, Metadata
from server.api.grpc.final_response import LAST, NOT_LAST, empty_last, wants_mark
from server.api.grpc.statuses import known_error, with_status
from server.api.grpc.stream_messages import streamed, streamed_error
from server.api.lookup import Models
from server.codec.fast.grpc_templates import RequestTemplate, TemplateCache
from server.codec.grpc_messages import check_fields
from server.errors import InvalidInput, ServingError, message
from server.inference.answer import Answer, StreamedAnswer
from server.inference.model import ServedModel
from server.inference.request import AnswerHandler, InferenceRequest


class Inference:
    """`ModelInfer` and `ModelStreamInfer` of serialized requests: one whose head is known need not be read."""

    def __init__(self, models: Models, callers: Callers | None = None) -> None:
        self._models = models
        self.callers = callers or Callers()
        self._templates = TemplateCache()

    def asked(self, raw: bytes) -> tuple[str, str | None]:
        """The model and the version that a request names.

        Raises:
            InvalidInput: it is no request.
        """
        known = self._templates.find(raw) or self._read(raw)
        return (known.model, known.version) if isinstance(known, RequestTemplate) else _named(known)

    def start(self, raw: bytes, metadata: Metadata, done: AnswerHandler) -> InferenceRequest | None:
        """`infer` in callbacks, which costs less than a coroutine; `done` gets the answer or the error once.

        It is called before this returns, or later; never after `cancel` of the request's pipeline. None: the model
        answers in other ways, is in no memory, or is none; `infer` knows what to do.

        Raises:
            ServingError: and `done` is not called.
        """
        known = self._templates.find(raw) or self._read(raw)
        name, version = (known.model, known.version) if isinstance(known, RequestTemplate) else _named(known)
        if self.callers.keys is not None:
            self.callers.check(metadata, name)
            metadata = self.callers.shown(metadata)
        try:
            model = self._models.ready_model(name, version)
        except ServingError:
            return None
        if not model.answers_whole:
            return None
        request = InferenceRequest("grpc", "predict", name, version, metadata, raw, template=known)
        model.start(request, done)
        return request

    @with_status
    async def infer(self, raw: bytes, context: Any) -> bytes:
        """A request to its answer."""
        model, request = await self._begin("predict", raw, await self.callers.attend(context))
        answer = await model.handle(request)
        assert isinstance(answer, Answer)  # as adapters promise of this verb
        return answer.body

    async def stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Each request to its answers, one or many, in order; an error is an answer, too, and ends nobody else's."""
        try:
            metadata = await self.callers.attend(context)
        except InvalidInput as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message(error))
        async for raw in requests:
            answer: Answer | StreamedAnswer | None = None
            try:
                model, request = await self._begin("stream", raw, metadata)
                answer = await model.handle(request)
                marks = wants_mark(request.template)
                if isinstance(answer, Answer):
                    yield streamed(answer.body + (LAST if marks else b""))
                else:
                    async for part in answer.parts:
                        yield streamed(part + (NOT_LAST if marks else b""))
                    if marks:
                        yield streamed(empty_last(request.template))
            except Exception as error:
                yield streamed_error(message(known_error(error, "ModelStreamInfer")))
            finally:
                if isinstance(answer, StreamedAnswer):
                    await answer.close()

    async def _begin(self, verb: str, raw: bytes, metadata: Metadata) -> tuple[ServedModel, InferenceRequest]:
        known = self._templates.find(raw) or self._read(raw)
        name, version = (known.model, known.version) if isinstance(known, RequestTemplate) else _named(known)
        if self.callers.keys is not None:
            self.callers.check(metadata, name)
            metadata = self.callers.shown(metadata)
        model = await self._models.ready(name, version)
        return model, InferenceRequest("grpc", verb, name, version, metadata, raw, template=known)

    def _read(self, raw: bytes) -> Any:
        check_fields(raw)
        try:
            request = pb.ModelInferRequest.FromString(raw)
        except DecodeError as error:
            raise InvalidInput(f"the message is no ModelInferRequest: {error}") from error
        self._templates.learn(raw, request)
        return request


def _named(request: Any) -> tuple[str, str | None]:
    return request.model_name, request.model_version or None
