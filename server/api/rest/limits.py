"""What clients may cost over HTTP: connections, heads, bodies and time, each bounded by the setting of its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from server.config.settings import Settings
from server.errors import Overloaded

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


class Bodies:
    """The bodies that are held by now, over all connections of this process."""

    def __init__(self, most: int = HttpLimits.max_bodies_bytes) -> None:
        self.most = most
        self.held = 0  #: bytes

    def take(self, size: int) -> None:
        """Hold `size` bytes more; `give_back` them.

        Raises:
            Overloaded: there is no room for them now.
        """
        if self.held + size > self.most:
            raise self.refusal(size)
        self.held += size

    def refusal(self, size: int) -> Overloaded:
        """What says that there is no room for `size` bytes more."""
        return Overloaded(
            f"the bodies of requests hold {self.held} bytes by now, and {size} more are too many: "
            f"the limit over all connections is {self.most} (max_bodies_bytes); try again"
        )

    def give_back(self, size: int) -> None:
        self.held -= size

    def share(self) -> BodyShare:
        """What one request holds; it is given back at the end of a `with`."""
        return BodyShare(self)


class BodyShare:
    """Of one request."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.size = 0

    def take(self, size: int) -> None:
        """Hold `size` bytes more.

        Raises:
            Overloaded
        """
        self._bodies.take(size)
        self.size += size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bodies.give_back(self.size)
