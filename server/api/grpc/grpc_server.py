"""What the server needs of a server of gRPC, whichever way it talks (`--grpc_frontend`)."""

from __future__ import annotations

from typing import Protocol


class GrpcServer(Protocol):
    """One that has started."""

    async def leave(self, seconds: float) -> None:
        """Take no new connection, and ask clients to go: until all have, or so many seconds have passed.

        What they ask meanwhile is answered.
        """

    async def stop(self, grace: float | None) -> None:
        """End all connections; calls in flight have so many seconds, None: none."""
