"""A served model that reads whole requests itself: the sibling of `ServedModel` for user code in its own process.

    bytes and headers -> a turn in the queue -> adapter.answer (the worker) -> a Reply in the request's protocol

Nothing is decoded here: what a request means is the model's business. What is bounded is how many requests wait, and
for how long; how many are with the model at the same time depends on whether it gains from that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import kserve
import orjson
from kserve import InferRequest, InferResponse
from kserve.model import InferenceVerb
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferResponse

from adapters.base import Adapter, Reply, Request, TensorSpec
from server import errors
from server.codec.v2 import HEADER_LENGTH
from server.errors import ServingError, as_serving_error
from server.inference.batching.queue import BoundedQueue, Limits, Turn
from server.inference.in_flight import InFlight
from server.inference.request import IsDisconnected, never_disconnected
from server.telemetry.counters import ModelMetrics, now

log = logging.getLogger("kserve")

#: requests with a model that takes them one by one: the next is at hand when one is answered
_AHEAD = 2
_LENGTH = HEADER_LENGTH.decode()


class PassthroughModel(kserve.Model):
    """One loaded model under its name."""

    def __init__(
        self,
        name: str,
        adapter: Adapter,
        limits: Limits,
        metrics: ModelMetrics,
        most: int | None = None,
        version: str = "",
        workers: int = 1,
    ) -> None:
        """`most`: requests that may be with the model at the same time, where its folder says so."""
        super().__init__(name)
        self.adapter = adapter
        self.signature = adapter.signature
        self.version = version
        self.ready = True
        self._metrics = metrics
        self._most = most or (limits.max_queue if self.signature.overlaps else _AHEAD * workers)
        self.uses = InFlight()
        self.born = time.monotonic()
        self._then: Callable[[], None] = lambda: None
        self._running = 0
        self._queue: BoundedQueue[Turn] = BoundedQueue(name, limits)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    async def answer(
        self,
        verb: str,
        protocol: str,
        body: bytes,
        headers: Mapping[str, str],
        gone: IsDisconnected = never_disconnected,
    ) -> Reply:
        """The model's reply, which may be an error of its own choice (`status`).

        Raises:
            QueueFull, DeadlineExceeded, ClientGone, NotReady, ModelFailed, InvalidInput
        """
        start = now()
        began: float | None = None
        self.uses.begin()
        try:
            await self._turn(gone)
            began = now()
            reply = await self._ask(Request(verb, protocol, body, headers))
        except Exception as error:
            known = as_serving_error(error)
            self._metrics.failed(protocol, known.status, now() - start)
            if known.status == 500:
                log.exception("model %s failed", self.name)
            if known is error:
                raise
            raise known from error
        finally:
            self.uses.end()
        end = self.uses.last = now()
        if reply.status < 400:
            self._metrics.answered(protocol, start, began, end, end)
        else:
            self._metrics.failed(protocol, reply.status, end - start)
        return reply

    async def explain_v1(
        self, body: bytes, headers: Mapping[str, str], gone: IsDisconnected = never_disconnected
    ) -> Reply:
        """A V1 body to what explains each prediction."""
        return await self.answer("explain", "v1", body, headers, gone)

    async def infer_grpc(self, request: Any, metadata: Mapping[str, str]) -> ModelInferResponse:
        """A `ModelInferRequest` to a `ModelInferResponse`."""
        reply = await self.answer("predict", "grpc", request.SerializeToString(), metadata)
        if reply.status >= 400:
            raise relative(reply.status)(reply.body.decode(errors="replace"))
        return ModelInferResponse.FromString(reply.body)

    async def __call__(
        self, body: Any, headers: dict[str, str] | None = None, verb: InferenceVerb = InferenceVerb.PREDICT
    ) -> tuple[Any, dict[str, str]]:
        """KServe's hook, for requests that come through its own data plane."""
        told = {key: value for key, value in (headers or {}).items() if not key.startswith(("ce-", "content-"))}
        if isinstance(body, InferRequest):
            rest, json_length = body.to_rest()
            if json_length is not None:
                told[_LENGTH] = str(json_length)
            raw, protocol = rest if isinstance(rest, bytes) else orjson.dumps(rest), "v2"
        else:
            raw, protocol = body if isinstance(body, bytes) else orjson.dumps(body), "v1"
            told["content-type"] = "application/json"
        reply = await self.answer(verb.name.lower(), protocol, raw, told)
        return _told(reply), {key: value for key, value in reply.headers.items() if not key.startswith("content-")}

    def get_input_types(self) -> list[dict[str, Any]]:
        """What the user's class says of its inputs."""
        return [_metadata(spec) for spec in self.signature.inputs]

    def get_output_types(self) -> list[dict[str, Any]]:
        return [_metadata(spec) for spec in self.signature.outputs]

    def load(self) -> bool:
        """KServe's data plane calls this on a model that is not ready."""
        if not self.ready:
            raise errors.NotReady(f"model {self.name!r} is not ready")
        return True

    def retire(self, then: Callable[[], None] = lambda: None) -> None:
        """On the event loop: let go of the model once all who reached it are answered; call `then` after that."""
        self._then = then
        self.uses.when_none(self.stop)

    def stop(self) -> None:
        """Refuse new requests and let go of the model; what runs runs to its end. From any thread."""
        self.ready = False
        error = errors.NotReady(f"model {self.name!r} is being unloaded")
        self._queue.close(error, self._let_go_once_idle)

    # the queue, on the event loop

    async def _ask(self, request: Request) -> Reply:
        try:
            return await self.adapter.answer(request)
        finally:
            self._running -= 1
            self._wake()

    async def _turn(self, is_disconnected: IsDisconnected) -> None:
        """Wait for a turn, which `_ask` gives back."""
        self._queue.check_open()
        if self._running < self._most and not self._queue:
            self._running += 1
            return
        turn = Turn(is_disconnected)
        try:
            await turn.wait_in(self._queue)
        except asyncio.CancelledError:
            if turn.granted:
                self._running -= 1
                self._wake()
            raise

    def _wake(self) -> None:
        """Give the turns that are free to those who wait longest."""
        now = self._queue.loop.time()
        while self._running < self._most and (turn := self._queue.pop_wanted(now)) is not None:
            turn.resolve(None)
            if turn.granted:
                self._running += 1
        if self._queue.closed is not None:
            self._let_go_once_idle()

    def _let_go_once_idle(self) -> None:
        if not self._running:
            self._let_go()

    def _let_go(self) -> None:
        self.adapter.close()
        self._then()


#: HTTP status -> the error of ours that has its gRPC status; other 4xx are the client's fault
_RELATIVES: Mapping[int, type[ServingError]] = {
    401: errors.Forbidden,
    403: errors.Forbidden,
    404: errors.NotFound,
    408: errors.DeadlineExceeded,
    413: errors.TooLarge,
    429: errors.QueueFull,
    501: errors.NotSupported,
    502: errors.NotReady,
    503: errors.NotReady,
    504: errors.DeadlineExceeded,
}


def relative(status: int) -> type[ServingError]:
    """The error of ours that is closest to an HTTP status."""
    return _RELATIVES.get(status, errors.InvalidInput if status < 500 else errors.ModelFailed)


def _told(reply: Reply) -> Any:
    """A reply as KServe's data plane takes it: it encodes what it is given.

    Raises:
        ServingError: the reply is an error.
    """
    if reply.status >= 400:
        raise relative(reply.status)(reply.body.decode(errors="replace"))
    if _LENGTH in reply.headers:
        return InferResponse.from_bytes(reply.body, int(reply.headers[_LENGTH]))
    return orjson.loads(reply.body) if reply.headers.get("content-type") == "application/json" else reply.body


def _metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
