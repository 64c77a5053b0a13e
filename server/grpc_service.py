"""Open Inference Protocol over gRPC: thin shells around the repository and `ServedModel.infer_grpc`.

KServe's own servicer copies every tensor through Python lists, logs every call, and answers INTERNAL to a successful
load; its messages and its service definition are used as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from kserve.errors import ModelNotFound
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from server.admin import Access, peer_address
from server.dataplane import PolyDataPlane
from server.errors import NotFound, ServingError, as_serving_error, message
from server.repository import Repository
from server.whole import WholeModel

log = logging.getLogger("kserve")

Server: TypeAlias = "grpc.aio.Server"


def _told(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Every failure of a method becomes a gRPC status with its message."""

    async def told(self: Any, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await method(self, request, context)
        except ModelNotFound as error:
            known: ServingError = NotFound(str(error))
        except ServingError as error:
            known = error
        except Exception as error:
            log.exception("gRPC %s failed", method.__name__)
            known = as_serving_error(error)
        return await context.abort(getattr(grpc.StatusCode, known.grpc), message(known))

    return told


class InferenceService(grpc_predict_v2_pb2_grpc.GRPCInferenceServiceServicer):
    """`inference.GRPCInferenceService`."""

    def __init__(self, repository: Repository, dataplane: PolyDataPlane, access: Access | None = None) -> None:
        self._repository = repository
        self._dataplane = dataplane
        self._access = access or Access()

    @_told
    async def ModelInfer(self, request: Any, context: Any) -> Any:
        model = await self._repository.ready(request.model_name, request.model_version or None)
        if isinstance(model, WholeModel):
            return await model.infer_grpc(request, _headers(context))
        return await model.infer_grpc(request)

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
        self._access.check(peer_address(context.peer()), _headers(context))
        await self._repository.load(request.model_name)
        return pb.RepositoryModelLoadResponse(model_name=request.model_name, isLoaded=True)

    @_told
    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        self._access.check(peer_address(context.peer()), _headers(context))
        await self._repository.unload_and_wait(request.model_name)
        return pb.RepositoryModelUnloadResponse(model_name=request.model_name, isUnloaded=True)


def _headers(context: Any) -> dict[str, str]:
    """The request's metadata that is text."""
    return {str(key): value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


async def serve(service: InferenceService, port: int, max_send: int, max_receive: int) -> Server:
    """Start the gRPC server; it runs until stopped."""
    options = [
        ("grpc.max_send_message_length", max_send),
        ("grpc.max_receive_message_length", max_receive),
        ("grpc.so_reuseport", 0),  # a second server on the port is a mistake, not a partner
    ]
    server = grpc.aio.server(options=options)
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    server.add_insecure_port(f"[::]:{port}")
    await server.start()
    return server
