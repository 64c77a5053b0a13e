"""What a process takes in from one that it does not trust: how much, and what it may unfold to.

A worker runs strangers' code. What it claims to send is no limit on memory: a byte of msgpack may be an object of 64
bytes, and several workers may claim at the same time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import msgpack
import numpy as np
import numpy.typing as npt

#: bytes of an empty list or map, and of the place in the list that holds it, of which a byte of msgpack may make one
_UNFOLDED = 72
_OBJECT = 64  #: bytes of a text or a number beside its own
#: messages below this are not counted
_SMALL = 2**20


class ReceiveBudget:
    """Memory for what is being received from all workers, and for what of it is still in use. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Wait until there are so many bytes, or nobody else has any."""
        with self._changed:
            self._changed.wait_for(lambda: not self.used or self.used + size <= self.limit)
            self.used += size

    def give_back(self, size: int) -> None:
        with self._changed:
            self.used -= size
            self._changed.notify_all()


class _Buffer(np.ndarray[tuple[int], np.dtype[np.uint8]]):
    """Memory that is given back to a budget when nobody refers to it any more, its views included."""

    budget: ReceiveBudget | None = None

    def __del__(self) -> None:
        if self.budget is not None:
            self.budget.give_back(self.nbytes)


@dataclass(frozen=True)
class ReceiveLimits:
    """Of one connection."""

    head: int = 16 * 2**20  #: bytes of a message's fields and shapes
    body: int = 2**30  #: bytes of its tensors
    budget: ReceiveBudget | None = field(default=None, compare=False)
    unfolded: int | None = None  #: bytes that objects may take once they are unpacked; None: whatever they do

    def buffer(self, size: int) -> npt.NDArray[np.uint8]:
        """Memory for a message. It fills as bytes come: a claim alone takes none. Blocks until there is room."""
        if self.budget is None or size < _SMALL:
            return np.empty(size, np.uint8)
        self.budget.take(size)
        try:
            buffer = np.empty(size, np.uint8).view(_Buffer)
        except BaseException:
            self.budget.give_back(size)
            raise
        buffer.budget = self.budget
        return buffer

    def waits(self, size: int) -> bool:
        """Whether `buffer` may block."""
        return self.budget is not None and size >= _SMALL

    def fits(self, packed: memoryview, most: int) -> bool:
        """Whether a msgpack list of at most `most` elements unfolds to no more than it may."""
        if self.unfolded is None or len(packed) * _UNFOLDED <= self.unfolded:
            return True
        return unfolded(packed, most, self.unfolded) <= self.unfolded


def unfolded(packed: memoryview, most: int, enough: int) -> int:
    """Bytes that a list takes once it is unpacked, at most; counted until it is more than `enough`.

    Raises:
        ValueError: it is no list, or damaged.
    """
    reader = msgpack.Unpacker(max_buffer_size=len(packed))
    reader.feed(packed)
    total, at = 0, 0
    for _ in range(min(reader.read_array_header(), most)):
        at = reader.tell()
        reader.skip()
        length = reader.tell() - at
        total += _UNFOLDED * length if _is_container(packed[at]) else _OBJECT + length
        if total > enough:
            break
    return total


def _is_container(first: int) -> bool:
    """Whether a value that begins with this byte holds others: maps, lists, extensions."""
    return 0x80 <= first <= 0x9F or 0xC7 <= first <= 0xC9 or 0xD4 <= first <= 0xD8 or 0xDC <= first <= 0xDF
