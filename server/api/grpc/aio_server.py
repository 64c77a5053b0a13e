"""grpc.aio's server as a `GrpcServer`: `--grpc_frontend=grpcio`."""

from __future__ import annotations

from server.api.grpc.service import LONGEST_CONNECTION_AGE, Server
from server.runtime import drain

#: seconds beyond the age of connections that a client may take to go
_LINGER = 1.0
_POLL = 0.05  #: seconds between two looks at who is still connected


class AioServer:
    """One that `service.serve` has started."""

    def __init__(self, server: Server, port: int) -> None:
        self._server = server
        self._port = port

    async def leave(self, seconds: float) -> None:
        """As `GrpcServer` has it: gRPC asks clients to go when their connections have reached their age."""
        await drain.close_port(self._port)
        most = min(seconds, LONGEST_CONNECTION_AGE + _LINGER)
        await drain.until_gone(lambda: drain.has_connections(self._port), most, _POLL)

    async def stop(self, grace: float | None) -> None:
        """As `GrpcServer` has it."""
        await self._server.stop(grace)
