"""What clients may cost over gRPC; for grpcio's server as far as that lets itself be bounded, by channel arguments.

Heads are bounded by grpcio itself (`grpc.max_metadata_size`: 8 KiB, and 16 KiB whatever comes). It has no bound that
could be set from Python on the bytes of all messages together: calls times the size of a message is one. Our own front
has (`native.call_site`).

Source: grpc/impl/channel_arg_names.h.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.config.settings import Settings

#: streams that one connection may have open, among which are calls in flight
MAX_STREAMS = 1024
#: milliseconds in which a connection must have said that it speaks HTTP/2, its settings included
HANDSHAKE_MS = 5_000
#: milliseconds without a call after which a connection is asked to leave
IDLE_MS = 60_000


@dataclass(frozen=True)
class GrpcLimits:
    """The settings about messages, calls and connections, for one process."""

    max_send: int = -1  #: bytes, as `max_receive`; -1: no limit
    max_receive: int = 100 * 2**20
    max_calls: int = 4096
    max_connections: int = 10_000
    compression: str = "none"  #: of answers, for clients that take it, which most do: "gzip", "deflate"

    @classmethod
    def of(cls, settings: Settings, max_connections: int) -> GrpcLimits:
        """`max_connections` is this process's share."""
        lengths = (settings.grpc_max_send_message_length, settings.max_message_bytes)
        return cls(*lengths, settings.grpc_max_calls, max_connections, settings.grpc_compression)

    def options(self) -> list[tuple[str, int]]:
        """As channel arguments."""
        return [
            ("grpc.max_send_message_length", self.max_send),
            ("grpc.max_receive_message_length", self.max_receive),
            ("grpc.max_concurrent_streams", min(MAX_STREAMS, self.max_calls)),
            ("grpc.max_allowed_incoming_connections", self.max_connections),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
            ("grpc.max_connection_idle_ms", IDLE_MS),
        ]
