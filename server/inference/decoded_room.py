"""What the bodies of requests have become, over all that wait or are computed: bounded, as bodies are by their bytes.

A text of two characters takes five bytes of a body and some eighty of memory, an integer two and eight. Who sends many
such bodies at once is bounded by `--max_bodies_bytes` while they come, and by four times that once they are read.
"""

from __future__ import annotations

import threading

from adapters.base import Tensors
from server.errors import Overloaded, TooLarge

#: of the bytes that bodies may hold
FACTOR = 4
_OBJECT = 80  #: bytes of a Python object, such as a short text, and its place in an array


class DecodedRoom:
    """Of one process. Thread-safe."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self._lock = threading.RLock()  # a collection of garbage within it may give back, on the same thread

    def take(self, tensors: Tensors) -> Held:
        """Count them until the result is let go of.

        Raises:
            TooLarge: there is never room for them.
            Overloaded: there is none now.
        """
        size = sum(each.size * _OBJECT if each.dtype.kind == "O" else each.nbytes for each in tensors.values())
        with self._lock:
            if self.held + size > self.most:
                raise self._refusal(size)
            self.held += size
        return Held(self, size)

    def give_back(self, size: int) -> None:
        with self._lock:
            self.held -= size

    def _refusal(self, size: int) -> TooLarge | Overloaded:
        limit = f"{self.most} ({FACTOR} times max_bodies_bytes)"
        if size > self.most:
            return TooLarge(
                f"what the body becomes takes {size} bytes, the limit is {limit}: send fewer rows a request"
            )
        return Overloaded(
            f"what requests have become takes {self.held} bytes by now, and {size} more are too many: the limit is "
            f"{limit}; try again"
        )


class Held:
    """What one request has become; it is given back when nobody holds the request any more, however it ended."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: DecodedRoom, size: int) -> None:
        self._room = room
        self._size = size

    def __del__(self) -> None:
        self._room.give_back(self._size)


#: of this process
ROOM = DecodedRoom(FACTOR * 512 * 2**20)


def allow(bodies: int) -> None:
    """From now on bodies may hold so many bytes (`--max_bodies_bytes`). Call it first."""
    ROOM.most = FACTOR * bodies
