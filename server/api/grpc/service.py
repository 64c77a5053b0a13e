"""Open Inference Protocol over gRPC: thin shells around the repository and `ServedModel.handle`.

KServe's own servicer copies every tensor through Python lists, logs every call, and answers INTERNAL to a successful
load; its messages and its service definition are used as they are.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from server.api.access import Access, peer_address
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.stream_messages import streamed, streamed_error
from server.api.kserve.dataplane import PolyDataPlane
from server.api.kserve.host import ModelNotFound
from server.api.lookup import Models
from server.codec.fast.grpc_templates import RequestTemplate, TemplateCache
from server.errors import InvalidInput, NotFound, ServingError, as_serving_error, message
from server.inference.answer import Answer, StreamedAnswer
from server.inference.model import ServedModel
from server.inference.request import InferenceRequest
from server.repository.repository import Repository

log = logging.getLogger("kserve")

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]

#: Triton's method, which KServe's definition of the service lacks
STREAM = "ModelStreamInfer"

#: metadata that tells where a call comes from that a front process hands on
CLIENT = "x-polyserve-client"
_INNER = "unix:"  #: begins gRPC's name of a peer on the server's own socket

Server: TypeAlias = "grpc.aio.Server"

#: seconds after which gRPC asks a client to make a new connection, and answers what comes over the old one meanwhile.
#: It is the only thing that has gRPC do so while it serves: the server's `stop` asks, too, but cancels what comes until
#: the clients know. So a server that stops waits until all have been asked (`server.api.shutdown`): a short age is a
#: quick stop. A new connection costs a client some round trips; the server, nothing that could be measured.
MAX_CONNECTION_AGE = 5.0
#: gRPC lets connections live shorter or longer than that by a tenth, lest all clients come at one moment
LONGEST_CONNECTION_AGE = 1.1 * MAX_CONNECTION_AGE


def _known(error: Exception, method: str) -> ServingError:
    """The error of ours that a client is told of."""
    if isinstance(error, ModelNotFound):
        return NotFound(str(error))
    if not isinstance(error, ServingError):
        log.error("gRPC %s failed", method, exc_info=error)
    return as_serving_error(error)


def _with_status(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Every failure of a method becomes a gRPC status with its message."""

    async def with_status(self: Any, *request: Any) -> Any:
        try:
            return await method(self, *request)
        except Exception as error:
            known = _known(error, method.__name__)
        context: grpc.aio.ServicerContext[Any, Any] = request[-1]
        return await context.abort(getattr(grpc.StatusCode, known.grpc), message(known))

    return with_status


class Inference:
    """`ModelInfer` and `ModelStreamInfer` of serialized requests: one whose head is known need not be read."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._templates = TemplateCache()

    def asked(self, raw: bytes) -> tuple[str, str | None]:
        """The model and the version that a request names.

        Raises:
            InvalidInput: it is no request.
        """
        known = self._templates.find(raw) or self._read(raw)
        return (known.model, known.version) if isinstance(known, RequestTemplate) else _named(known)

    @_with_status
    async def infer(self, raw: bytes, context: Any) -> bytes:
        """A request to its answer."""
        model, request = await self._begin("predict", raw, context)
        answer = await model.handle(request)
        assert isinstance(answer, Answer)  # as adapters promise of this verb
        return answer.body

    async def stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Each request to its answers, one or many, in order; an error is an answer, too, and ends nobody else's."""
        async for raw in requests:
            answer: Answer | StreamedAnswer | None = None
            try:
                model, request = await self._begin("stream", raw, context)
                answer = await model.handle(request)
                if isinstance(answer, Answer):
                    yield streamed(answer.body)
                else:
                    async for part in answer.parts:
                        yield streamed(part)
            except Exception as error:
                yield streamed_error(message(_known(error, "ModelStreamInfer")))
            finally:
                if isinstance(answer, StreamedAnswer):
                    await answer.close()

    async def _begin(self, verb: str, raw: bytes, context: Any) -> tuple[ServedModel, InferenceRequest]:
        known = self._templates.find(raw) or self._read(raw)
        name, version = (known.model, known.version) if isinstance(known, RequestTemplate) else _named(known)
        model = await self._models.ready(name, version)
        metadata = context.invocation_metadata() or ()
        return model, InferenceRequest("grpc", verb, name, version, metadata, raw, template=known)

    def _read(self, raw: bytes) -> Any:
        try:
            request = pb.ModelInferRequest.FromString(raw)
        except DecodeError as error:
            raise InvalidInput(f"the message is no ModelInferRequest: {error}") from error
        self._templates.learn(raw, request)
        return request


def _named(request: Any) -> tuple[str, str | None]:
    return request.model_name, request.model_version or None


class InferenceService(grpc_predict_v2_pb2_grpc.GRPCInferenceServiceServicer):
    """`inference.GRPCInferenceService`."""

    def __init__(self, repository: Repository, dataplane: PolyDataPlane, access: Access | None = None) -> None:
        self._repository = repository
        self._dataplane = dataplane
        self._access = access or Access()
        self._inference = Inference(repository)
        self.infer, self.stream = self._inference.infer, self._inference.stream

    @_with_status
    async def ServerLive(self, request: Any, context: Any) -> Any:
        return pb.ServerLiveResponse(live=True)

    @_with_status
    async def ServerReady(self, request: Any, context: Any) -> Any:
        return pb.ServerReadyResponse(ready=not self._repository.why_not_ready())

    @_with_status
    async def ModelReady(self, request: Any, context: Any) -> Any:
        self._repository.check_known(request.name, request.version or None)
        return pb.ModelReadyResponse(ready=self._repository.is_ready(request.name, request.version or None))

    @_with_status
    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        return pb.ServerMetadataResponse(**self._dataplane.metadata())

    @_with_status
    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        return pb.ModelMetadataResponse(**await self._dataplane.model_metadata(request.name, request.version))

    @_with_status
    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        self._access.check(_address(context), _headers(context))
        await self._repository.load(request.model_name)
        return pb.RepositoryModelLoadResponse(model_name=request.model_name, isLoaded=True)

    @_with_status
    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        self._access.check(_address(context), _headers(context))
        await self._repository.unload_and_wait(request.model_name)
        return pb.RepositoryModelUnloadResponse(model_name=request.model_name, isUnloaded=True)


def _headers(context: Any) -> dict[str, str]:
    """The request's metadata; of what is not text, the key. What a front process adds (`_address`) is none of it."""
    pairs = [(str(key), value if isinstance(value, str) else "") for key, value in context.invocation_metadata() or ()]
    inner = context.peer().startswith(_INNER)
    return {key: value for key, value in pairs if not (inner and key == CLIENT)}


def _address(context: Any) -> str:
    """Where a call comes from; one that came over the server's own socket is somebody's who reached a front process.

    That says it once (`CLIENT`), and takes what the caller himself calls so away; else nobody knows.
    """
    peer = context.peer()
    if peer.startswith(_INNER):
        named = [value for key, value in context.invocation_metadata() or () if key == CLIENT]
        peer = named[0] if len(named) == 1 else ""
    return peer_address(peer)


def _methods(service: InferenceService) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """The service's methods by name; `ModelInfer` reads and writes its messages itself."""
    methods = {
        method.name: grpc.unary_unary_rpc_method_handler(
            getattr(service, method.name),
            GetMessageClass(method.input_type).FromString,
            GetMessageClass(method.output_type).SerializeToString,
        )
        for method in SERVICE.methods
    }
    return methods | {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(service.infer),
        STREAM: grpc.stream_stream_rpc_method_handler(service.stream),
    }


def handlers(service: InferenceService) -> grpc.GenericRpcHandler[Any, Any]:
    """The service, for `serve`."""
    return grpc.method_handlers_generic_handler(SERVICE.full_name, _methods(service))


async def serve(
    service: grpc.GenericRpcHandler[Any, Any],
    port: int,
    limits: GrpcLimits | None = None,
    socket: str = "",
    *,
    shared: bool = False,
) -> tuple[Server, int]:
    """Start a gRPC server, which runs until stopped; and the port it has got.

    `socket` is the path of a Unix socket that it listens on as well; `shared`: other processes use the port, too.

    Raises:
        RuntimeError: the port is taken.
    """
    limits = limits or GrpcLimits()
    options = [
        *limits.options(),
        ("grpc.max_connection_age_ms", int(1000 * MAX_CONNECTION_AGE)),
        ("grpc.so_reuseport", int(shared)),  # a second server on the port is a mistake, not a partner
    ]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=limits.max_calls)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port(f"[::]:{port}")
    if socket:
        server.add_insecure_port(f"unix:{socket}")
    await server.start()
    return server, port
