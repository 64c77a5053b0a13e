"""A language model: what V1, V2 and gRPC ask of it becomes a job, and its text is answered in their words.

    V1 instances, V2 and gRPC tensors, Triton's generate -> texts and parameters -> a job -> parts -> texts

OpenAI's API makes its jobs itself (`api.openai`). Predictions are to be repeatable: here the likeliest tokens are
taken, unless the request asks for a temperature.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self

import numpy as np
import orjson

from adapters.base import Parts, Request
from server.codec import grpc_messages, triton_generate, v1, v2
from server.codec.decoded_request import DecodedRequest
from server.codec.fast.grpc_templates import RequestTemplate, grpc_decoder, known_decoder
from server.errors import InvalidInput, NotSupported, nearest_error
from server.inference.answer import JSON_HEADERS, Answer, StreamedAnswer, v2_headers
from server.inference.engine_watch import EngineWatch
from server.inference.generated_parts import GeneratedParts
from server.inference.passthrough_model import PassthroughModel
from server.inference.request import InferenceRequest

_JOBS = "generation"  #: the protocol
_STREAMS = ("generate_stream", "stream")
_LAST = b'{"usage"'  #: what a job's last part begins with


class GenerationModel(PassthroughModel):
    """One loaded language model under its name."""

    reads_events = False
    decodes = True

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._watch = EngineWatch(self.name, self.pool, self._metrics.generation, lambda: bool(self.in_flight.count))

    async def handle(self, request: InferenceRequest) -> Answer | StreamedAnswer:
        """The model's answer: to a job its parts, or a refusal in OpenAI's shape; to others one in their protocol.

        Raises:
            ServingError
        """
        self._watch.begin()
        answer = await super().handle(request)
        if isinstance(answer, StreamedAnswer):
            answer = StreamedAnswer(answer.headers, MeteredParts(answer.parts, self._metrics.generation.job))
        if request.protocol == _JOBS:
            return answer
        if isinstance(answer, Answer):
            raise nearest_error(answer.status)(_sentence(answer.body))
        parts = GeneratedParts(answer.parts, request.is_disconnected)
        call: DecodedRequest = request.decoded
        if request.verb in _STREAMS:
            return StreamedAnswer([], TextParts(parts, lambda text: self._part(request, call, text)))
        return self._complete(request, call, await _texts(parts, call.rows))

    def stop(self) -> None:
        super().stop()
        self._watch.end()

    def _asked(self, request: InferenceRequest) -> Request:
        """
        Raises:
            InvalidInput: the body is none of its protocol.
            NotSupported: the model does not explain itself.
        """
        if request.protocol == _JOBS:
            return super()._asked(request)
        if request.verb == "explain":
            raise NotSupported(f"model {self.name!r} ({self.adapter.name}) does not explain its predictions")
        call = request.decoded = self._decode(request)
        streams = request.verb in _STREAMS
        if streams and call.rows != 1:
            raise InvalidInput(f"a stream answers one text, and {call.rows} were sent: send one request for each")
        prompt = [str(text) for text in call.inputs[self.signature.inputs[0].name].reshape(-1)]
        job = {"temperature": 0.0, **call.parameters, "prompt": prompt, "stream": streams}
        return Request("complete", _JOBS, orjson.dumps(job), request.header_map())

    def _decode(self, request: InferenceRequest) -> DecodedRequest:
        if request.protocol == "grpc":
            if isinstance(request.template, RequestTemplate):
                return known_decoder(self.signature)(request.template, request.body)
            return grpc_decoder(self.signature)(request.template)
        if request.verb.startswith("generate"):
            return triton_generate.decode(request.body, self.signature, streams=request.verb == "generate_stream")
        if request.protocol == "v2":
            return v2.decode(request.body, request.json_length, self.signature)
        return v1.decode(request.body, self.signature)

    def _complete(self, request: InferenceRequest, call: DecodedRequest, texts: list[str]) -> Answer:
        if request.verb == "generate":
            body = triton_generate.encode(texts[0], call, self.signature, self.name, self.version)
            return Answer(200, JSON_HEADERS, body)
        outputs = {self.signature.outputs[0].name: np.array(texts, dtype=np.object_)}
        if isinstance(call, v2.DecodedV2Request):
            if request.protocol == "grpc":
                message = grpc_messages.encode(outputs, call, self.name, self.version)
                return Answer(200, [], message.SerializeToString())
            body, json_length = v2.encode(outputs, call, self.name, self.version)
            return Answer(200, v2_headers(json_length), body)
        return Answer(200, JSON_HEADERS, v1.encode(outputs, self.signature, call))

    def _part(self, request: InferenceRequest, call: DecodedRequest, text: str) -> bytes:
        if request.protocol == "grpc":
            return self._complete(request, call, [text]).body
        return triton_generate.encode(text, call, self.signature, self.name, self.version)


class MeteredParts:
    """The parts of a job; `ended` gets the last one."""

    def __init__(self, parts: Parts, ended: Callable[[Mapping[str, Any]], None]) -> None:
        self._parts = parts
        self._ended = ended

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        part = await anext(self._parts)
        if part.startswith(_LAST):
            self._ended(orjson.loads(part))
        return part

    async def aclose(self) -> None:
        await self._parts.aclose()


class TextParts:
    """`adapters.base.Parts` of a text that comes piece by piece; at least one, if it is an empty one."""

    def __init__(self, parts: GeneratedParts, encode: Callable[[str], bytes]) -> None:
        self._source: Parts | GeneratedParts = parts
        self._pieces = self._encoded(parts, encode)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        await self._source.aclose()

    async def _encoded(self, parts: GeneratedParts, encode: Callable[[str], bytes]) -> AsyncIterator[bytes]:
        is_empty = True
        async for part in parts:
            text = "".join(delta["text"] for delta in part.get("deltas", ()))
            if text or (is_empty and "usage" in part):
                is_empty = False
                yield encode(text)


async def _texts(parts: GeneratedParts, count: int) -> list[str]:
    texts = [""] * count
    try:
        async for part in parts:
            for delta in part.get("deltas", ()):
                texts[delta["index"]] += delta["text"]
    finally:
        await parts.aclose()
    return texts


def _sentence(body: bytes) -> str:
    """The sentence in an error of OpenAI's shape."""
    try:
        error: Any = orjson.loads(body)["error"]
        return str(error["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")
