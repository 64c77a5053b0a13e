"""READ FIRST: a served model, and the way of a request through it.

    bytes -> codec.decode -> Batcher.submit -> adapter.predict (in a thread) -> codec.encode -> bytes

`predict_v1`, `infer_v2` and `infer_grpc` are thin shells of one protocol each around `infer`. KServe's own data plane
(CloudEvents, its V2 route) reaches the same `infer` through `predict`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, TypeVar

import kserve
import orjson
from kserve import InferRequest, InferResponse

from adapters.base import Adapter, Tensors
from server.batching import Batcher, Limits
from server.codec import grpc_, v1, v2
from server.codec.call import Call
from server.codec.fast import v1_decoder, v2_decoder
from server.errors import NotReady, NotSupported, as_serving_error
from server.metrics import ModelMetrics, now
from server.threads import Runs

log = logging.getLogger("kserve")
trace_log = logging.getLogger("kserve.trace")  #: where KServe writes latencies, too

#: tells whether the client of a request has hung up
Gone: TypeAlias = Callable[[], bool]
#: the `Gone` of a client that cannot be asked: `bool()` is False
present: Gone = bool

_T = TypeVar("_T")
_C = TypeVar("_C", bound=Call)

#: bodies and outputs above this many bytes are decoded and encoded in a thread, off the event loop
INLINE_BYTES = 64 * 1024


class ServedModel(kserve.Model):
    """One loaded model under its name."""

    def __init__(
        self,
        name: str,
        adapter: Adapter,
        executor: Runs,
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
        self._metrics = metrics
        self._batcher = Batcher(
            adapter.predict,
            executor,
            limits,
            merges,
            self.signature.batched,
            name,
            on_failure=self._log_failure,
            on_call=metrics.called,
        )

    async def infer(self, call: Call, gone: Gone = present) -> Tensors:
        """The model's outputs for decoded inputs: queued, merged with its like, predicted off the event loop."""
        return await self._batcher.submit(call, gone)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._batcher.waiting

    async def predict_v1(self, raw: bytes, gone: Gone = present) -> bytes:
        """A V1 body to a V1 body."""
        return await self._serve("v1", gone, len(raw), partial(self._decode_v1, raw), self._encode_v1)

    async def infer_v2(
        self, raw: bytes, json_length: str | None = None, gone: Gone = present
    ) -> tuple[bytes, int | None]:
        """A V2 body to a V2 body, and the length of its JSON when raw tensors follow it."""
        return await self._serve("v2", gone, len(raw), partial(self._decode_v2, raw, json_length), self._encode_v2)

    async def infer_grpc(self, request: Any) -> Any:
        """A `ModelInferRequest` to a `ModelInferResponse`."""
        decode = partial(grpc_.decode, request, self.signature)
        return await self._serve("grpc", present, request.ByteSize(), decode, self._encode_grpc)

    def _encode_v1(self, outputs: Tensors, call: Call) -> bytes:
        return v1.encode(outputs, self.signature)

    def _encode_v2(self, outputs: Tensors, call: v2.V2Call) -> tuple[bytes, int | None]:
        return v2.encode(outputs, call, self.name, self.version)

    def _encode_grpc(self, outputs: Tensors, call: v2.V2Call) -> Any:
        return grpc_.encode(outputs, call, self.name, self.version)

    async def _serve(
        self, protocol: str, gone: Gone, size: int, decode: Callable[[], _C], encode: Callable[[Tensors, _C], _T]
    ) -> _T:
        """The way of every request. Large bodies (`size` in bytes) are decoded and encoded off the event loop."""
        start = now()
        try:
            call = decode() if size <= INLINE_BYTES else await self._in_thread(decode)
            decoded = now()
            outputs = await self.infer(call, gone)
            predicted = now()
            large = _size(outputs) > INLINE_BYTES
            answer = await self._in_thread(lambda: encode(outputs, call)) if large else encode(outputs, call)
        except Exception as error:
            self._metrics.failed(protocol, as_serving_error(error).status, now() - start)
            raise
        end = now()
        self._metrics.answered(protocol, start, decoded, predicted, end)
        if self.enable_latency_logging:
            steps = [f"{1000 * seconds:.3f}" for seconds in (decoded - start, predicted - decoded, end - predicted)]
            trace_log.info("%s %s: preprocess_ms: %s, predict_ms: %s, postprocess_ms: %s", protocol, self.name, *steps)
        return answer

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
        if not isinstance(payload, bytes):  # an event's data that KServe could not read comes as it was sent
            payload = orjson.dumps(payload if isinstance(payload, dict) else {"instances": [payload]})
        result: dict[str, Any] = orjson.loads(await self.predict_v1(payload))
        return result

    async def explain(self, payload: Any, headers: dict[str, str] | None = None) -> Any:
        raise NotSupported(f"model {self.name!r} ({self.adapter.name}) does not explain its predictions")

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

    def stop(self) -> None:
        """Refuse new requests and let go of the model; what runs runs to its end."""
        self.ready = False
        self._batcher.close(NotReady(f"model {self.name!r} is being unloaded"), self.adapter.close)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(None, work)

    def _log_failure(self, error: BaseException) -> None:
        log.error("model %s failed: %s: %s", self.name, type(error).__name__, error, exc_info=error)


def _size(outputs: Tensors) -> int:
    """A fair guess of how many bytes the outputs take on the wire; objects count as 256."""
    return sum(array.size * 256 if array.dtype.kind == "O" else array.nbytes * 2 for array in outputs.values())


def _metadata(spec: Any) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
