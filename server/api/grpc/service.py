"""Open Inference Protocol over gRPC: thin shells around the repository and `ServedModel.infer_grpc`.

KServe's own servicer copies every tensor through Python lists, logs every call, and answers INTERNAL to a successful
load; its messages and its service definition are used as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from kserve.errors import ModelNotFound
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from server.api.access import Access, peer_address
from server.api.kserve.dataplane import PolyDataPlane
from server.api.lookup import Models
from server.codec.fast.grpc_templates import TemplateCache
from server.errors import InvalidInput, NotFound, ServingError, as_serving_error, message
from server.inference.passthrough_model import PassthroughModel
from server.repository.repository import Repository

log = logging.getLogger("kserve")

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]

#: metadata that tells where a call comes from that a front process hands on
CLIENT = "x-polyserve-client"

Server: TypeAlias = "grpc.aio.Server"

#: seconds after which gRPC asks a client to make a new connection, and answers what comes over the old one meanwhile.
#: It is the only thing that has gRPC do so while it serves: the server's `stop` asks, too, but cancels what comes until
#: the clients know. So a server that stops waits until all have been asked (`server.api.shutdown`): a short age is a
#: quick stop. A new connection costs a client some round trips; the server, nothing that could be measured.
MAX_CONNECTION_AGE = 5.0
#: gRPC lets connections live shorter or longer than that by a tenth, lest all clients come at one moment
LONGEST_CONNECTION_AGE = 1.1 * MAX_CONNECTION_AGE


def _told(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Every failure of a method becomes a gRPC status with its message."""

    async def told(self: Any, *request: Any) -> Any:
        try:
            return await method(self, *request)
        except ModelNotFound as error:
            known: ServingError = NotFound(str(error))
        except ServingError as error:
            known = error
        except Exception as error:
            log.exception("gRPC %s failed", method.__name__)
            known = as_serving_error(error)
        context: grpc.aio.ServicerContext[Any, Any] = request[-1]
        return await context.abort(getattr(grpc.StatusCode, known.grpc), message(known))

    return told


class Inference:
    """`ModelInfer` of a serialized request: one whose head is known need not be read."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._heads = TemplateCache()

    def asked(self, raw: bytes) -> tuple[str, str | None]:
        """The model and the version that a request names.

        Raises:
            InvalidInput: it is no request.
        """
        head = self._heads.find(raw)
        if head is None:
            request = self._read(raw)
            return request.model_name, request.model_version or None
        return head.model, head.version

    @_told
    async def infer(self, raw: bytes, context: Any) -> bytes:
        """A request to its answer."""
        head = self._heads.find(raw)
        if head is None:
            answer = await self.answer(self._read(raw), context)
            return answer.SerializeToString()  # type: ignore[no-any-return]
        model = await self._models.ready(head.model, head.version)
        if isinstance(model, PassthroughModel):
            answer = await model.infer_grpc(pb.ModelInferRequest.FromString(raw), _headers(context))
            return answer.SerializeToString()  # type: ignore[no-any-return]
        return await model.infer_known(head, raw)

    def _read(self, raw: bytes) -> Any:
        try:
            request = pb.ModelInferRequest.FromString(raw)
        except DecodeError as error:
            raise InvalidInput(f"the message is no ModelInferRequest: {error}") from error
        self._heads.learn(raw, request)
        return request

    async def answer(self, request: Any, context: Any) -> Any:
        """A message to its answer."""
        model = await self._models.ready(request.model_name, request.model_version or None)
        if isinstance(model, PassthroughModel):
            return await model.infer_grpc(request, _headers(context))
        return await model.infer_grpc(request)


class InferenceService(grpc_predict_v2_pb2_grpc.GRPCInferenceServiceServicer):
    """`inference.GRPCInferenceService`."""

    def __init__(self, repository: Repository, dataplane: PolyDataPlane, access: Access | None = None) -> None:
        self._repository = repository
        self._dataplane = dataplane
        self._access = access or Access()
        self._inference = Inference(repository)
        self.infer = self._inference.infer

    @_told
    async def ModelInfer(self, request: Any, context: Any) -> Any:
        return await self._inference.answer(request, context)

    @_told
    async def ServerLive(self, request: Any, context: Any) -> Any:
        return pb.ServerLiveResponse(live=True)

    @_told
    async def ServerReady(self, request: Any, context: Any) -> Any:
        return pb.ServerReadyResponse(ready=not self._repository.why_not_ready())

    @_told
    async def ModelReady(self, request: Any, context: Any) -> Any:
        self._repository.check_known(request.name, request.version or None)
        return pb.ModelReadyResponse(ready=self._repository.is_ready(request.name, request.version or None))

    @_told
    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        return pb.ServerMetadataResponse(**self._dataplane.metadata())

    @_told
    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        return pb.ModelMetadataResponse(**await self._dataplane.model_metadata(request.name, request.version))

    @_told
    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        self._access.check(_address(context), _headers(context))
        await self._repository.load(request.model_name)
        return pb.RepositoryModelLoadResponse(model_name=request.model_name, isLoaded=True)

    @_told
    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        self._access.check(_address(context), _headers(context))
        await self._repository.unload_and_wait(request.model_name)
        return pb.RepositoryModelUnloadResponse(model_name=request.model_name, isUnloaded=True)


def _headers(context: Any) -> dict[str, str]:
    """The request's metadata that is text."""
    return {str(key): value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


def _address(context: Any) -> str:
    """Where a call comes from; one that came over the server's own socket is somebody's who reached a front process.

    That says it once (`CLIENT`), and takes what the caller himself calls so away; else nobody knows.
    """
    peer = context.peer()
    if peer.startswith("unix:"):
        told = [value for key, value in context.invocation_metadata() or () if key == CLIENT]
        peer = told[0] if len(told) == 1 else ""
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
    return methods | {"ModelInfer": grpc.unary_unary_rpc_method_handler(service.infer)}


def handlers(service: InferenceService) -> grpc.GenericRpcHandler[Any, Any]:
    """The service, for `serve`."""
    return grpc.method_handlers_generic_handler(SERVICE.full_name, _methods(service))


async def serve(
    service: grpc.GenericRpcHandler[Any, Any],
    port: int,
    max_send: int,
    max_receive: int,
    socket: str = "",
    *,
    shared: bool = False,
) -> tuple[Server, int]:
    """Start a gRPC server, which runs until stopped; and the port it has got.

    `socket` is the path of a Unix socket that it listens on as well; `shared`: other processes use the port, too.

    Raises:
        RuntimeError: the port is taken.
    """
    options = [
        ("grpc.max_send_message_length", max_send),
        ("grpc.max_receive_message_length", max_receive),
        ("grpc.max_connection_age_ms", int(1000 * MAX_CONNECTION_AGE)),
        ("grpc.so_reuseport", int(shared)),  # a second server on the port is a mistake, not a partner
    ]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port(f"[::]:{port}")
    if socket:
        server.add_insecure_port(f"unix:{socket}")
    await server.start()
    return server, port
