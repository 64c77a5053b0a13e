"""Open Inference Protocol over gRPC, and what Triton adds to it: thin shells around the repository.

KServe's own servicer copies every tensor through Python lists, logs every call, and answers INTERNAL to a successful
load; its messages are used as they are, and `protos` has those that it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import grpc
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.api import request_ids
from server.api.access import HOST, Access, peer_address
from server.api.grpc.callers import Callers
from server.api.grpc.channel_credentials import server_credentials
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.health import health_handler
from server.api.grpc.infer_calls import Inference
from server.api.grpc.missing_methods import MissingMethods
from server.api.grpc.protos import INFER, SERVICE, STREAM, message_type
from server.api.grpc.reflection import reflection_handlers
from server.api.grpc.small_messages import reader
from server.api.grpc.statuses import with_status
from server.api.grpc.triton_calls import TritonCalls, asked_model
from server.api.lookup import Refresh, nothing_new
from server.api.model_metadata import model_metadata, server_metadata
from server.api.triton.server_settings import ChangeLevel
from server.repository.repository import Repository
from server.runtime import logs
from server.runtime.certificates import CertificateFiles

#: metadata that tells where a call comes from that a front process hands on
CLIENT = "x-polyserve-client"
#: with it a front process says that the caller's identifier is its own making, and no header of somebody in between
MADE_ID = "x-polyserve-made-id"
#: metadata that tells by which name the caller of a front process asks for this server
ASKED_HOST = "x-polyserve-host"
_INNER = "unix:"  #: begins gRPC's name of a peer on the server's own socket

Server: TypeAlias = "grpc.aio.Server"

#: seconds after which gRPC asks a client to make a new connection, and answers what comes over the old one meanwhile.
#: It is the only thing that has gRPC do so while it serves: the server's `stop` asks, too, but cancels what comes until
#: the clients know. So a server that stops waits until all have been asked (`server.api.shutdown`): a short age is a
#: quick stop. A new connection costs a client some round trips; the server, nothing that could be measured.
MAX_CONNECTION_AGE = 5.0
#: gRPC lets connections live shorter or longer than that by a tenth, lest all clients come at one moment
LONGEST_CONNECTION_AGE = 1.1 * MAX_CONNECTION_AGE


_COMPRESSIONS = {
    "none": grpc.Compression.NoCompression,
    "deflate": grpc.Compression.Deflate,
    "gzip": grpc.Compression.Gzip,
}


class InferenceService(TritonCalls):
    """`inference.GRPCInferenceService`."""

    def __init__(
        self,
        repository: Repository,
        access: Access | None = None,
        refresh: Refresh = nothing_new,
        *,
        make_ids: bool = False,
        change_level: ChangeLevel = logs.set_level,
    ) -> None:
        """`make_ids`: calls without an identifier get one."""
        super().__init__(repository, refresh, change_level)
        self._access = access or Access()
        self.callers = Callers(self._access.keys, make_ids=make_ids)
        self.inference = Inference(repository, self.callers)
        self.infer, self.stream = self.inference.infer, self.inference.stream

    def check_admin(self, context: Any) -> None:
        self._access.check(_address(context), _headers(context))

    @with_status
    async def ServerLive(self, request: Any, context: Any) -> Any:
        return pb.ServerLiveResponse(live=True)

    @with_status
    async def ServerReady(self, request: Any, context: Any) -> Any:
        return pb.ServerReadyResponse(ready=not self._repository.why_not_ready())

    @with_status
    async def ModelReady(self, request: Any, context: Any) -> Any:
        self._repository.check_known(request.name, request.version or None)
        return pb.ModelReadyResponse(ready=self._repository.is_ready(request.name, request.version or None))

    @with_status
    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        return pb.ServerMetadataResponse(**server_metadata())

    @with_status
    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        known = await model_metadata(self._repository, request.name, request.version or None)
        known.pop("properties", None)  # KServe's message has no place for them
        return pb.ModelMetadataResponse(**known)

    @with_status
    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        self.check_admin(context)
        name = asked_model(request)
        await self._repository.load(name)
        return pb.RepositoryModelLoadResponse(model_name=name, isLoaded=True)

    @with_status
    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        self.check_admin(context)
        name = asked_model(request)
        await self._repository.unload_and_wait(name)
        return pb.RepositoryModelUnloadResponse(model_name=name, isUnloaded=True)


def _headers(context: Any) -> dict[str, str]:
    """The request's metadata; of what is not text, the key. What a front process adds (`_address`) is none of it.

    The name that the caller has for this server (`:authority`) is the `Host`, as it is over REST; two are none.
    """
    pairs = {str(key): value if isinstance(value, str) else "" for key, value in context.invocation_metadata() or ()}
    asked = getattr(context, "authority", None)
    if context.peer().startswith(_INNER):
        asked = pairs.get(ASKED_HOST)
        made = [request_ids.NAME] if MADE_ID in pairs else []
        pairs = {key: value for key, value in pairs.items() if key not in (CLIENT, MADE_ID, ASKED_HOST, *made)}
    if asked is None:  # grpc.aio does not tell
        return pairs
    return {**pairs, HOST: f"{pairs[HOST]}, {asked}" if HOST in pairs else asked}


def _address(context: Any) -> str:
    """Where a call comes from; one that came over the server's own socket is somebody's who reached a front process.

    That says it once (`CLIENT`), and takes what the caller himself calls so away; else nobody knows.
    """
    peer = context.peer()
    if peer.startswith(_INNER):
        named = [value for key, value in context.invocation_metadata() or () if key == CLIENT]
        peer = named[0] if len(named) == 1 else ""
    return peer_address(peer)


def _attended(service: InferenceService, name: str, read: Callable[[bytes], Any]) -> Any:
    """A method of the service, for callers that may ask it. `read` makes its message of bytes."""
    method, callers = getattr(service, name), service.callers

    async def attended(_: None, raw: bytes, context: Any) -> Any:
        request = read(raw)
        metadata = await callers.attend(context)
        callers.check_method(metadata, name, request)
        return callers.of_the_key(metadata, name, await method(request, context))

    attended.__name__ = name
    answered = with_status(attended)

    async def answer(raw: bytes, context: Any) -> Any:
        return await answered(None, raw, context)

    return answer


def handlers(service: InferenceService) -> list[grpc.GenericRpcHandler[Any, Any]]:
    """The service, and those that gRPC's tools ask for, for `serve`. They read their messages themselves."""
    methods = {
        method.name: grpc.unary_unary_rpc_method_handler(
            _attended(service, method.name, reader(message_type(method.input_type.name))),
            None,
            message_type(method.output_type.name).SerializeToString,
        )
        for method in SERVICE.methods
        if method.name not in (INFER, STREAM)
    }
    methods[INFER] = grpc.unary_unary_rpc_method_handler(service.infer)
    methods[STREAM] = grpc.stream_stream_rpc_method_handler(service.stream)
    inference = grpc.method_handlers_generic_handler(SERVICE.full_name, methods)
    return [inference, health_handler(service.repository), *reflection_handlers()]


async def serve(
    services: Sequence[grpc.GenericRpcHandler[Any, Any]],
    port: int,
    limits: GrpcLimits | None = None,
    socket: str = "",
    *,
    shared: bool = False,
    certificates: CertificateFiles | None = None,
) -> tuple[Server, int]:
    """Start a gRPC server, which runs until stopped; and the port it has got.

    `socket` is the path of a Unix socket that it listens on as well; `shared`: other processes use the port, too.
    With `certificates` the port is served over TLS alone.

    Raises:
        RuntimeError: the port is taken.
    """
    limits = limits or GrpcLimits()
    options = [
        *limits.options(),
        ("grpc.max_connection_age_ms", int(1000 * MAX_CONNECTION_AGE)),
        ("grpc.so_reuseport", int(shared)),  # a second server on the port is a mistake, not a partner
    ]
    server = grpc.aio.server(
        options=options, maximum_concurrent_rpcs=limits.max_calls, compression=_COMPRESSIONS[limits.compression]
    )
    server.add_generic_rpc_handlers((*services, MissingMethods()))
    if certificates is None:
        port = server.add_insecure_port(f"[::]:{port}")
    else:
        port = server.add_secure_port(f"[::]:{port}", server_credentials(certificates))
    if socket:
        server.add_insecure_port(f"unix:{socket}")
    await server.start()
    return server, port
