"""A served model that takes tensors: what decodes, queues, computes and encodes its requests, put together.

    InferenceRequest -> Pipeline (`request`, READ FIRST) -> Answer

Predictions and explanations have a queue each.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from adapters.base import Adapter, Tensors, TensorSpec
from server.codec import grpc_messages, v1, v2
from server.codec.decoded_request import DecodedRequest
from server.codec.fast.grpc_templates import AnswerTemplates, RequestTemplate, grpc_decoder, known_decoder
from server.codec.fast.json_rows import v1_decoder, v2_decoder
from server.errors import NotReady, NotSupported, ServingError
from server.inference.answer import JSON_HEADERS, Answer, StreamedAnswer, v2_headers
from server.inference.batching.batcher import Batcher
from server.inference.batching.queue import Limits, into
from server.inference.batching.threads import Executor, spare
from server.inference.explanations import explanation_batcher, explanation_codec
from server.inference.failure_log import log_failure
from server.inference.in_flight import InFlight, RequestObserver
from server.inference.request import AnswerHandler, Codec, InferenceRequest, Pipeline
from server.telemetry.counters import ModelMetrics
from server.workers.adapter import RemoteAdapter, pool_of


class TensorModel:
    """One loaded model under its name."""

    answers_whole = True
    reads_events = False

    def __init__(
        self,
        name: str,
        adapter: Adapter,
        executor: Executor,
        limits: Limits,
        metrics: ModelMetrics,
        merges: bool,
        version: str = "",
        log_latency: bool = False,
    ) -> None:
        """`log_latency`: the steps of every request are logged."""
        self.name = name
        self.adapter = adapter
        self.pool = pool_of(adapter)
        self.signature = adapter.signature
        self.version = version
        self.ready = True
        self.log_latency = log_latency
        self.max_rows = limits.max_rows if self.signature.batched else 0
        self.merges = merges
        self.refuses_example = False
        self.made_by = ""
        self.in_flight = InFlight()
        self.born = time.monotonic()
        splits = adapter.traits.parallel and adapter.traits.thread_safe
        self._batcher = Batcher(
            adapter.predict,
            executor,
            limits,
            merges,
            self.signature.batched,
            name,
            on_call=metrics.called,
            steady=adapter.traits.steady,
            cores=lambda: min(spare(executor), limits.concurrency) if splits else 1,
            begin=adapter.begin if isinstance(adapter, RemoteAdapter) else None,
        )
        self._explainer = explanation_batcher(name, adapter, executor, limits, metrics, merges)
        observer = RequestObserver(self, "predict", metrics, self.in_flight)
        self._explanations = RequestObserver(self, "explain", metrics.explanations, self.in_flight)
        predictions = Pipeline(self._batcher, observer, self._codecs(), self._log_failure)
        self._pipelines = {"predict": predictions, "stream": predictions}
        if self.signature.explanations:
            codecs = {"v1": explanation_codec(name, adapter.signature, v1_decoder(self.signature))}
            self._pipelines["explain"] = Pipeline(self._explainer, self._explanations, codecs, self._log_failure)

    def _codecs(self) -> dict[str, Codec]:
        """How each protocol's requests for predictions are read and answered."""
        name, version, signature = self.name, self.version, self.signature
        decode_v1, decode_v2 = v1_decoder(signature), v2_decoder(signature)

        def encode_v1(outputs: Tensors, decoded: DecodedRequest) -> Answer:
            return Answer(200, JSON_HEADERS, v1.encode(outputs, signature, decoded))

        def encode_v2(outputs: Tensors, decoded: v2.DecodedV2Request) -> Answer:
            body, json_length = v2.encode(outputs, decoded, name, version)
            return Answer(200, v2_headers(json_length), body)

        return {
            "v1": Codec(lambda request: decode_v1(request.body), encode_v1),
            "v2": Codec(lambda request: decode_v2(request.body, request.json_length), encode_v2),
            "grpc": self._grpc_codec(),
        }

    def _grpc_codec(self) -> Codec:
        """A message of a known head is neither read nor written by protobuf; one that is not has been read already."""
        decode_known, decode_message = known_decoder(self.signature), grpc_decoder(self.signature)
        templates = AnswerTemplates(self.name, self.version)

        def decode(request: InferenceRequest) -> v2.DecodedV2Request:
            if isinstance(request.template, RequestTemplate):
                return decode_known(request.template, request.body)
            return decode_message(request.template)

        def encode(outputs: Tensors, decoded: v2.DecodedV2Request) -> Answer:
            if decoded.id or decoded.outputs or not decoded.binary:
                message = grpc_messages.encode(outputs, decoded, self.name, self.version)
                return Answer(200, [], message.SerializeToString())
            return Answer(200, [], templates.encode(outputs, decoded))

        return Codec(decode, encode)

    @property
    def waiting(self) -> int:
        """Requests in the queues."""
        return self._batcher.waiting + self._explainer.waiting

    def start(self, request: InferenceRequest, done: AnswerHandler) -> None:
        """Begin to answer: `Pipeline.start`.

        Raises:
            NotSupported: the model has no such verb.
        """
        pipeline = self._pipelines.get(request.verb)
        if pipeline is None:
            raise self._unsupported(request)
        pipeline.start(request, done)

    async def handle(self, request: InferenceRequest) -> Answer | StreamedAnswer:
        """`start` for those who can wait. Whoever stops waiting cancels the request.

        Raises:
            ServingError: any but `NotFound`.
        """
        future: asyncio.Future[Answer | StreamedAnswer | ServingError] = asyncio.get_running_loop().create_future()
        self.start(request, into(future))
        try:
            answer = await future
        except asyncio.CancelledError:
            request.pipeline.cancel(request)
            raise
        if isinstance(answer, ServingError):
            raise answer
        return answer

    def _unsupported(self, request: InferenceRequest) -> NotSupported:
        if request.verb != "explain":
            known = f"POST /v2/models/{self.name}/infer"
            return NotSupported(f"model {self.name!r} ({self.adapter.name}) generates nothing: {known}")
        error = NotSupported(f"model {self.name!r} ({self.adapter.name}) does not explain its predictions")
        self._explanations.began()
        self._explanations.failed(request, error.status, request.received_at)
        return error

    def get_input_types(self) -> list[dict[str, Any]]:
        """Inputs for the V2 metadata. A matrix with named columns is shown as its columns, one tensor each.

        Both ways of sending it are taken; only this one has room for the names, on REST and gRPC alike.
        """
        if self.signature.columns:
            (matrix,) = self.signature.inputs
            return [{"name": name, "datatype": matrix.datatype, "shape": [-1]} for name in self.signature.columns]
        return [tensor_metadata(spec) for spec in self.signature.inputs]

    def get_output_types(self) -> list[dict[str, Any]]:
        return [tensor_metadata(spec) for spec in self.signature.outputs]

    # its end

    def retire(self, then: Callable[[], None] = lambda: None) -> None:
        """On the event loop: let go of the model once all who reached it are answered; call `then` after that."""
        self.in_flight.when_none(lambda: self._let_go(then))

    def stop(self) -> None:
        """Refuse requests, also those that wait; what runs runs to its end. From any thread."""
        self._let_go(lambda: None)

    def _let_go(self, then: Callable[[], None]) -> None:
        self.ready = False
        error = NotReady(f"model {self.name!r} is being unloaded")
        busy = {self._batcher, self._explainer}
        lock = threading.Lock()  # the two may say so on different threads

        def is_idle(batcher: Batcher) -> None:
            with lock:
                busy.discard(batcher)
                last = not busy
            if last:
                self.adapter.close()
                then()

        for batcher in (self._batcher, self._explainer):
            batcher.close(error, partial(is_idle, batcher))

    def _log_failure(self, request: InferenceRequest, error: BaseException) -> None:
        log_failure(self.name, error, request.log_fields)


def tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    """A tensor as the V2 metadata shows it."""
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
