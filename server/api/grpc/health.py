"""gRPC's own health service: what Kubernetes' probes, Envoy and grpc-health-probe ask.

    Check   SERVING while the server is ready, as `ServerReady` and REST's `/v2/health/ready` say it
    Watch   the same whenever it changes; ends when the server stops

The service asked for is "" (the server) or the inference service's name.

Source: grpc/health/v1/health.proto.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from server.api.grpc.protos import HEALTH, SERVICE, message_class
from server.api.grpc.small_messages import reader
from server.repository.repository import Repository

#: seconds between two looks at whether the server is ready, for those who watch
INTERVAL = 0.5
#: who may watch at once: each is looked for, and takes one of all calls for as long as it likes
MOST = 256

_SERVICES = ("", SERVICE.full_name)
_Response = message_class(HEALTH.methods_by_name["Check"].output_type)
_UNKNOWN, _SERVING, _NOT_SERVING = "SERVICE_UNKNOWN", "SERVING", "NOT_SERVING"


class HealthService:
    """`grpc.health.v1.Health` over the repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._watching = 0

    async def check(self, request: Any, context: Any) -> Any:
        if request.service not in _SERVICES:
            known = " and ".join(map(repr, _SERVICES))
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service!r}; known: {known}")
        return _Response(status=self._status(request.service))

    async def watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Nobody is told when readiness changes, so it is looked at now and then."""
        if self._watching >= MOST:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MOST} watch already, which is all: ask by Check")
        self._watching += 1
        try:
            async for answer in self._changes(request):
                yield answer
        finally:
            self._watching -= 1

    async def _changes(self, request: Any) -> AsyncIterator[Any]:
        told = ""
        while True:
            last = self._repository.stopping  # before the status, which is then the one of a server that stops
            status = self._status(request.service)
            if status != told:
                yield _Response(status=status)
                told = status
            if last:  # a stream that stayed would hold up the stop
                return
            await asyncio.sleep(INTERVAL)

    def _status(self, service: str) -> str:
        if service not in _SERVICES:
            return _UNKNOWN
        return _NOT_SERVING if self._repository.why_not_ready() else _SERVING


def health_handler(repository: Repository) -> grpc.GenericRpcHandler[Any, Any]:
    """The service, for a server."""
    service = HealthService(repository)
    read = reader(message_class(HEALTH.methods_by_name["Check"].input_type))
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Check": grpc.unary_unary_rpc_method_handler(service.check, read, _Response.SerializeToString),
        "Watch": grpc.unary_stream_rpc_method_handler(service.watch, read, _Response.SerializeToString),
    }
    return grpc.method_handlers_generic_handler(HEALTH.full_name, methods)
