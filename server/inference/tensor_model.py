"""READ FIRST: a served model, and the way of a request through it.

    bytes -> codec.decode -> Batcher.put -> adapter.predict -> codec.encode -> bytes

`start_v1`, `start_v2` and `infer_grpc` are thin shells of one protocol each around an `Exchange`. KServe's own data
plane (CloudEvents, its V2 route) comes the same way through `predict`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Protocol, TypeAlias, TypeVar

import kserve
import orjson
from kserve import InferRequest, InferResponse

from adapters.base import Adapter, Tensors
from server.codec import grpc_messages, v1, v2
from server.codec.fast.grpc_templates import AnswerTemplates, RequestTemplate, grpc_decoder, known_decoder
from server.codec.fast.json_rows import v1_decoder, v2_decoder
from server.codec.request import DecodedRequest
from server.errors import NotReady, NotSupported, ServingError
from server.inference.batching.batcher import Batcher
from server.inference.batching.queue import Limits, into
from server.inference.batching.threads import Executor, spare
from server.inference.explanations import Explanations
from server.inference.in_flight import InFlight, RequestObserver
from server.inference.request import Exchange, IsDisconnected, never_disconnected
from server.telemetry.counters import ModelMetrics
from server.workers.adapter import RemoteAdapter

log = logging.getLogger("kserve")

T = TypeVar("T")
#: takes the encoded answer or the error, once, on the event loop
Answered: TypeAlias = Callable[[T | ServingError], None]
#: a V2 body, and the length of its JSON when raw tensors follow it
V2Body: TypeAlias = tuple[bytes, int | None]


class Started(Protocol):
    """A request on its way."""

    def cancel(self) -> None:
        """The caller has gone: there is nobody to answer."""


class TensorModel(kserve.Model):
    """One loaded model under its name."""

    def __init__(
        self,
        name: str,
        adapter: Adapter,
        executor: Executor,
        limits: Limits,
        metrics: ModelMetrics,
        merges: bool,
        version: str = "",
    ) -> None:
        super().__init__(name)
        self.adapter = adapter
        self.signature = adapter.signature
        self.version = version
        self.ready = True
        self._decode_v1 = v1_decoder(self.signature)
        self._decode_v2 = v2_decoder(self.signature)
        self._decode_grpc = grpc_decoder(self.signature)
        self._decode_known = known_decoder(self.signature)
        self._encode_known = AnswerTemplates(name, version).encode
        self.uses = InFlight()
        self.born = time.monotonic()
        self._watch = RequestObserver(self, "predict", metrics, self.uses)
        self._batcher = Batcher(
            adapter.predict,
            executor,
            limits,
            merges,
            self.signature.batched,
            name,
            on_failure=self._log_failure,
            on_call=metrics.called,
            steady=adapter.steady,
            cores=lambda: min(spare(executor), limits.concurrency) if adapter.parallel and adapter.thread_safe else 1,
            begin=adapter.begin if isinstance(adapter, RemoteAdapter) else None,
        )
        self._watch_explanations = RequestObserver(self, "explain", metrics.explanations, self.uses)
        self._explanations = Explanations(
            name,
            adapter,
            executor,
            limits,
            self._watch_explanations,
            merges,
            on_failure=self._log_failure,
            on_call=metrics.called,
        )

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._batcher.waiting + self._explanations.waiting

    def start_v1(self, raw: bytes, done: Answered[bytes], gone: IsDisconnected = never_disconnected) -> Started:
        """A V1 body to a V1 body."""
        exchange: Exchange[DecodedRequest, bytes] = Exchange("v1", self._batcher, self._watch, self._encode_v1, done)
        exchange.begin(len(raw), partial(self._decode_v1, raw), gone)
        return exchange

    def start_v2(
        self, raw: bytes, json_length: str | None, done: Answered[V2Body], gone: IsDisconnected = never_disconnected
    ) -> Started:
        """A V2 body to a V2 body, and the length of its JSON when raw tensors follow it."""
        exchange: Exchange[v2.DecodedV2Request, V2Body] = Exchange(
            "v2", self._batcher, self._watch, self._encode_v2, done
        )
        exchange.begin(len(raw), partial(self._decode_v2, raw, json_length), gone)
        return exchange

    def start_explain_v1(self, raw: bytes, done: Answered[bytes], gone: IsDisconnected = never_disconnected) -> Started:
        """A V1 body to V1 explanations.

        Raises:
            NotSupported: the model does not explain.
        """
        if not self.signature.explanations:
            error = NotSupported(f"model {self.name!r} ({self.adapter.name}) does not explain its predictions")
            self._watch_explanations.began()
            self._watch_explanations.failed("v1", error.status, 0.0)
            raise error
        return self._explanations.start(len(raw), partial(self._decode_v1, raw), done, gone)

    async def predict_v1(self, raw: bytes, gone: IsDisconnected = never_disconnected) -> bytes:
        """`start_v1` for those who can wait."""
        return await _awaited(lambda done: self.start_v1(raw, done, gone))

    async def explain_v1(self, raw: bytes, gone: IsDisconnected = never_disconnected) -> bytes:
        """`start_explain_v1` for those who can wait."""
        return await _awaited(lambda done: self.start_explain_v1(raw, done, gone))

    async def infer_v2(
        self, raw: bytes, json_length: str | None = None, gone: IsDisconnected = never_disconnected
    ) -> V2Body:
        """`start_v2` for those who can wait."""
        return await _awaited(lambda done: self.start_v2(raw, json_length, done, gone))

    async def exchange(
        self,
        protocol: str,
        size: int,
        decode: Callable[[], DecodedRequest],
        encode: Callable[[Tensors, DecodedRequest], T],
        gone: IsDisconnected = never_disconnected,
    ) -> T:
        """A request of `size` bytes in any other protocol."""

        def start(done: Answered[T]) -> Started:
            exchange: Exchange[DecodedRequest, T] = Exchange(protocol, self._batcher, self._watch, encode, done)
            exchange.begin(size, decode, gone)
            return exchange

        return await _awaited(start)

    async def infer_grpc(self, request: Any) -> Any:
        """A `ModelInferRequest` to a `ModelInferResponse`."""

        def start(done: Answered[Any]) -> Started:
            exchange: Exchange[v2.DecodedV2Request, Any] = Exchange(
                "grpc", self._batcher, self._watch, self._encode_grpc, done
            )
            exchange.begin(request.ByteSize(), partial(self._decode_grpc, request), never_disconnected)
            return exchange

        return await _awaited(start)

    async def infer_known(self, head: RequestTemplate, raw: bytes) -> bytes:
        """The same, serialized, for a request whose head is known."""

        def start(done: Answered[bytes]) -> Started:
            exchange: Exchange[v2.DecodedV2Request, bytes] = Exchange(
                "grpc", self._batcher, self._watch, self._encode_known, done
            )
            exchange.begin(len(raw), partial(self._decode_known, head, raw), never_disconnected)
            return exchange

        return await _awaited(start)

    def _encode_v1(self, outputs: Tensors, call: DecodedRequest) -> bytes:
        return v1.encode(outputs, self.signature, call)

    def _encode_v2(self, outputs: Tensors, call: v2.DecodedV2Request) -> V2Body:
        return v2.encode(outputs, call, self.name, self.version)

    def _encode_grpc(self, outputs: Tensors, call: v2.DecodedV2Request) -> Any:
        return grpc_messages.encode(outputs, call, self.name, self.version)

    async def predict(
        self,
        payload: dict[str, Any] | bytes | InferRequest,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> dict[str, Any] | InferResponse:
        """KServe's hook, for requests that come through its own data plane."""
        if isinstance(payload, InferRequest):
            rest, json_length = payload.to_rest()
            raw = rest if isinstance(rest, bytes) else orjson.dumps(rest)
            answer, length = await self.infer_v2(raw, str(json_length) if json_length else None)
            return InferResponse.from_bytes(answer, length) if length else InferResponse.from_rest(orjson.loads(answer))
        result: dict[str, Any] = orjson.loads(await self.predict_v1(_body(payload)))
        return result

    async def explain(self, payload: dict[str, Any] | bytes, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """KServe's hook, for events that its own data plane has read."""
        result: dict[str, Any] = orjson.loads(await self.explain_v1(_body(payload)))
        return result

    def get_input_types(self) -> list[dict[str, Any]]:
        """Inputs for the V2 metadata. A matrix with named columns is shown as its columns, one tensor each.

        Both ways of sending it are taken; only this one has room for the names, on REST and gRPC alike.
        """
        if self.signature.columns:
            (matrix,) = self.signature.inputs
            return [{"name": name, "datatype": matrix.datatype, "shape": [-1]} for name in self.signature.columns]
        return [_metadata(spec) for spec in self.signature.inputs]

    def get_output_types(self) -> list[dict[str, Any]]:
        return [_metadata(spec) for spec in self.signature.outputs]

    def load(self) -> bool:
        """KServe's data plane calls this on a model that is not ready."""
        if not self.ready:
            raise NotReady(f"model {self.name!r} is not ready")
        return True

    def retire(self, then: Callable[[], None] = lambda: None) -> None:
        """On the event loop: let go of the model once all who reached it are answered; call `then` after that."""
        self.uses.when_none(lambda: self._let_go(then))

    def stop(self) -> None:
        """KServe's hook: refuse requests, also those that wait; what runs runs to its end. From any thread."""
        self._let_go(lambda: None)

    def _let_go(self, then: Callable[[], None]) -> None:
        self.ready = False
        error = NotReady(f"model {self.name!r} is being unloaded")
        idle = count(1)

        def when_idle() -> None:
            if next(idle) == 2:  # of both queues; they may say so on different threads
                self.adapter.close()
                then()

        self._batcher.close(error, when_idle)
        self._explanations.close(error, when_idle)

    def _log_failure(self, error: BaseException) -> None:
        log.error("model %s failed: %s: %s", self.name, type(error).__name__, error, exc_info=error)


async def _awaited(start: Callable[[Answered[T]], Started]) -> T:
    """The answer of what `start` begins, or its error raised; whoever stops waiting cancels it."""
    future: asyncio.Future[T | ServingError] = asyncio.get_running_loop().create_future()
    started = start(into(future))
    try:
        answer = await future
    except asyncio.CancelledError:
        started.cancel()
        raise
    if isinstance(answer, ServingError):
        raise answer
    return answer


def _body(payload: Any) -> bytes:
    """A V1 body; an event's data that KServe could not read comes as it was sent."""
    if isinstance(payload, bytes):
        return payload
    return orjson.dumps(payload if isinstance(payload, dict) else {"instances": [payload]})


def _metadata(spec: Any) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
