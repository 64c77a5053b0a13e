"""What clients may cost over HTTP: connections, heads, bodies and time, each bounded by the setting of its name."""

from __future__ import annotations

from dataclasses import dataclass

from server.config.settings import Settings

#: bytes of a body that are read and dropped after its request was answered; then the connection ends
MOST_DROPPED = 1024 * 1024


@dataclass(frozen=True)
class HttpLimits:
    """The settings about connections, heads and bodies, for one process."""

    max_connections: int = 10_000
    max_head_bytes: int = 64 * 1024
    max_headers: int = 256
    max_bodies_bytes: int = 512 * 2**20
    first_byte_timeout: float = 30.0  #: seconds, as those below
    head_timeout: float = 20.0
    body_timeout: float = 120.0
    send_timeout: float = 60.0
    timeout_keep_alive: float = 65.0

    @classmethod
    def of(cls, settings: Settings, max_connections: int) -> HttpLimits:
        """`max_connections` is this process's share."""
        return cls(
            max_connections,
            settings.max_head_bytes,
            settings.max_headers,
            settings.bodies_bytes,
            settings.first_byte_timeout,
            settings.head_timeout,
            settings.body_timeout,
            settings.send_timeout,
            settings.timeout_keep_alive,
        )
