"""The bodies and messages that a process holds by now, over all of its connections: of HTTP and of gRPC together."""

from __future__ import annotations

from typing import Self

from server.errors import Overloaded

#: bytes that are held at once, unless the settings say otherwise
MOST = 512 * 2**20


class Bodies:
    """The bodies that are held by now, over all connections of this process."""

    def __init__(self, most: int = MOST) -> None:
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
