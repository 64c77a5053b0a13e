"""READ FIRST: one request, and its way through a model of tensors.

    shell (rest, grpc) --> InferenceRequest --> Pipeline.start
        --> read      the codec of its protocol decodes the body               (`codec`)
        --> queue     it waits until the model is free                         (`Batcher.put`)
              ... the model is called for all who wait and agree ...           (`adapter.predict`)
        --> predicted its share of the outputs has come                        (`resolve`)
        --> write     the codec encodes the answer                             (`codec`)
        --> done

In callbacks, as a small request costs less than the coroutines it would take. Everything runs on the event loop, but
for large bodies and answers, which are decoded and encoded in threads. The request itself is what waits in the queue,
what the codecs read, and what observers are shown.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple, Protocol, TypeAlias

from adapters.base import Tensors
from server.codec.decoded_request import DecodedRequest
from server.errors import ClientGone, ModelFailed, ServingError, as_serving_error
from server.inference.answer import Answer, StreamedAnswer
from server.inference.batching.batcher import Batcher
from server.inference.batching.merging import Outcome
from server.inference.batching.queue import IsDisconnected as IsDisconnected
from server.inference.batching.queue import QueuedRequest
from server.inference.batching.queue import never_disconnected as never_disconnected
from server.inference.body_readers import CODERS, INLINE_BYTES, reader_of
from server.inference.decoded_room import ROOM, Held
from server.telemetry import traceparent
from server.telemetry.counters import now
from server.telemetry.traceparent import log_fields

#: takes the answer or the error, once, on the event loop
AnswerHandler: TypeAlias = Callable[["Answer | StreamedAnswer | ServingError"], None]

#: the header or metadata that has a request's identifier
_REQUEST_ID = ("x-request-id", b"x-request-id")
#: ... and the one that says which trace it belongs to: ours, where it is traced
_TRACEPARENT = (traceparent.NAME, traceparent.HEADER)


class InferenceRequest(QueuedRequest):
    """One request, from the shell that read it to the answer."""

    __slots__ = (
        *("protocol", "verb", "model", "version", "headers", "body", "json_length", "template", "codec"),
        *("received_at", "predicted_at", "pipeline", "answer", "room"),
    )
    codec: Codec
    pipeline: Pipeline
    room: Held  #: what a large body has become is counted for as long as the request is there

    def __init__(
        self,
        protocol: str,
        verb: str,
        model: str,
        version: str | None,
        headers: Sequence[tuple[Any, Any]],
        body: bytes,
        is_disconnected: IsDisconnected = never_disconnected,
        json_length: str | None = None,
        template: Any = None,
        codec: Codec | None = None,
    ) -> None:
        """
        `protocol` is "v1", "v2", "grpc", "torchserve" or "openai": what the body is in, and the metrics' word. `verb`
        is "predict", "explain", "generate", "generate_stream", or "stream" (one message of `ModelStreamInfer`).
        `version` is a number or a label, None where the request names none. `headers` are HTTP's as bytes, or gRPC's
        metadata. `json_length` is V2's header that says where the JSON ends and raw tensors begin, `template` what is
        known of a gRPC message already: its head, or the parsed message. `codec` is how to read it and to write its
        answer, in a protocol that models do not know themselves.
        """
        self.protocol = protocol
        self.verb = verb
        self.model = model
        self.version = version
        self.headers = headers
        self.body = body
        self.is_disconnected = is_disconnected
        self.json_length = json_length
        self.template = template
        if codec is not None:
            self.codec = codec
        self.received_at = self.decoded_at = self.predicted_at = now()
        self.deadline = math.inf
        self.finished = False
        self.answer: AnswerHandler | None = None

    def header_map(self) -> dict[str, str]:
        """The headers, or the metadata that is text, by name in lower case."""
        texts = ((_text(key).lower(), _text(value)) for key, value in self.headers if self._is_text(key, value))
        return dict(texts)

    @property
    def request_id(self) -> str:
        """Its identifier, for the log; "" where it has none."""
        return next((_text(value) for key, value in self.headers if key in _REQUEST_ID), "")

    @property
    def log_fields(self) -> dict[str, str]:
        """Whose a line of the log about it is: its identifier, "" where it has none, and the trace that it is in."""
        trace = next((log_fields(value) for key, value in self.headers if key in _TRACEPARENT), {})
        return {"request_id": self.request_id, **trace}

    def _is_text(self, key: Any, value: Any) -> bool:
        return self.protocol != "grpc" or isinstance(value, str)

    def deliver(self, outcome: Outcome) -> None:
        """The queue's and the model's word."""
        self.pipeline.predicted(self, outcome)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value, "latin-1")


class Codec(NamedTuple):
    """How a protocol's requests are read and its answers written."""

    decode: Callable[[InferenceRequest], DecodedRequest]
    encode: Callable[[Tensors, Any], Answer]


class Observer(Protocol):
    """Is shown every request that began, and once how it ended; times are marks of `now()`, in seconds."""

    def began(self) -> None: ...

    def answered(self, request: InferenceRequest, end: float) -> None: ...

    def failed(self, request: InferenceRequest, status: int, end: float) -> None: ...


class Pipeline:
    """The way of requests of one verb through one model: read, queue, compute, write."""

    __slots__ = ("_batcher", "_codecs", "_observer", "_on_fault")

    def __init__(
        self,
        batcher: Batcher,
        observer: Observer,
        codecs: Mapping[str, Codec],
        on_fault: Callable[[InferenceRequest, ServingError], None] = lambda request, error: None,
    ) -> None:
        """`codecs` by protocol; `on_fault` is told what the model or this server failed with, not of mistakes."""
        self._batcher = batcher
        self._observer = observer
        self._codecs = codecs
        self._on_fault = on_fault

    def start(self, request: InferenceRequest, done: AnswerHandler) -> None:
        """Begin; `done` gets the answer or the error exactly once; after `cancel`, not at all."""
        request.pipeline, request.answer = self, done
        if (codec := self._codecs.get(request.protocol)) is not None:
            request.codec = codec
        self._observer.began()
        size = len(request.body)
        if size > INLINE_BYTES:
            work = (lambda: self._decode(request), lambda: self._queue(request), lambda e: self._fail(request, e))
            _in_thread(reader_of(size), *work)
        elif self._batcher.reads_at_once:
            self._read(request)
        else:
            self._batcher.read_later(size, lambda: self._read(request))

    def _read(self, request: InferenceRequest) -> None:
        """Of a small one, at once: `_decode` and `_queue`, which are the way of those that are read in a thread."""
        if request.answer is None:  # the caller has gone while it waited to be read
            return
        try:
            request.decoded = request.codec.decode(request)
            request.decoded_at = now()
            self._batcher.put(request)
        except Exception as error:
            self._fail(request, error)

    def _decode(self, request: InferenceRequest) -> None:
        request.decoded = request.codec.decode(request)
        request.room = ROOM.take(request.decoded.inputs)
        request.decoded_at = now()

    def _queue(self, request: InferenceRequest) -> None:
        try:
            self._batcher.put(request)
        except ServingError as error:
            self._fail(request, error)

    def predicted(self, request: InferenceRequest, outcome: Outcome) -> None:
        """The outputs, or the error, have come."""
        if isinstance(outcome, ServingError):
            self._fail(request, outcome)
            return
        request.predicted_at = now()
        size = 0
        for array in outcome.values():
            size += array.nbytes
        # an object's reference has eight bytes of its 256: what is small by this is small whatever it holds
        if size * 32 > INLINE_BYTES and _size(outcome) > INLINE_BYTES:
            self._write_in_thread(request, outcome)
            return
        try:
            answer = request.codec.encode(outcome, request.decoded)
        except Exception as error:
            self._fail(request, error)
        else:
            self._succeed(request, answer)

    def _write_in_thread(self, request: InferenceRequest, outputs: Tensors) -> None:
        answers: list[Answer] = []

        def encode() -> None:
            answers.append(request.codec.encode(outputs, request.decoded))

        _in_thread(CODERS, encode, lambda: self._succeed(request, *answers), lambda error: self._fail(request, error))

    def _succeed(self, request: InferenceRequest, answer: Answer) -> None:
        if (done := request.answer) is not None:
            request.answer = None
            self._observer.answered(request, now())
            done(answer)

    def _fail(self, request: InferenceRequest, error: BaseException) -> None:
        known = as_serving_error(error)
        if known is not error:
            known.__cause__ = error
        if (done := request.answer) is not None:
            request.answer = None
            self._observer.failed(request, known.status, now())
            if known.status == ModelFailed.status:
                self._on_fault(request, known)
            done(known)

    def cancel(self, request: InferenceRequest) -> None:
        """The caller has gone: there is nobody to answer."""
        self._batcher.drop(request)
        if request.answer is not None:
            request.answer = None
            self._observer.failed(request, ClientGone.status, now())


def _in_thread(
    executor: Executor, work: Callable[[], None], then: Callable[[], None], fail: Callable[[BaseException], None]
) -> None:
    """Do the work in a thread, and go on with `then` on the event loop."""

    def worked(future: asyncio.Future[None]) -> None:
        if future.cancelled():
            fail(asyncio.CancelledError())
        elif error := future.exception():
            fail(error)
        else:
            then()

    asyncio.get_running_loop().run_in_executor(executor, work).add_done_callback(worked)


def _size(outputs: Tensors) -> int:
    """A fair guess of how many bytes the outputs take on the wire; objects count as 256."""
    size = 0
    for array in outputs.values():
        size += array.size * 256 if array.dtype.kind == "O" else array.nbytes * 2
    return size
