"""The protobuf wire format: enough to walk through a message without its classes, and without a framework.

A file may be hostile: every step is bounded, and what is not a whole message is `Malformed`.

Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple, Protocol

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = range(6)

#: protobuf's own parser gives up at this depth, so nothing loads anything deeper
MAX_DEPTH = 100
#: a model's nodes and initializers number in the hundred thousands at most
MAX_FIELDS = 10_000_000

_FIXED = {FIXED32: 4, FIXED64: 8}
_NO_NAMES: Mapping[int, str] = {}


class Malformed(ValueError):
    """The bytes are not a whole protobuf message."""


class Buffer(Protocol):
    """Bytes, in memory or in a file."""

    def __getitem__(self, span: slice, /) -> bytes: ...


class Walk:
    """The fields that are looked at in one file, in all its messages: half a million take a second."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.left = most

    def step(self) -> None:
        """
        Raises:
            Malformed: there are too many.
        """
        self.left -= 1
        if self.left < 0:
            raise Malformed(f"it holds more than {self.most:,} fields, as no model's graph does")


class MemoryBytes(bytes):
    """A file's bytes, whose fields are counted."""

    walk: Walk


class FileBytes:
    """A file's bytes by slice. Not a memory map: a file that shrinks under a map ends the process."""

    def __init__(self, stream: BinaryIO, walk: Walk | None = None) -> None:
        self._stream = stream
        self.walk = walk

    def __getitem__(self, span: slice, /) -> bytes:
        self._stream.seek(span.start)
        return self._stream.read(span.stop - span.start)


class Field(NamedTuple):
    """One field of a message: its content is `buffer[start:end]`; `value` is that of a varint."""

    number: int
    wire: int
    start: int
    end: int
    value: int = 0


def fields(
    data: Buffer, start: int, end: int, limit: int = MAX_FIELDS, names: Mapping[int, str] = _NO_NAMES
) -> Iterator[Field]:
    """The fields of the message in `data[start:end]`, in order; groups (an old form) are skipped.

    `names` are the fields' names, for messages.

    Raises:
        Malformed: the bytes end inside a field, or are no message at all.
    """
    position, groups = start, 0
    walk: Walk | None = getattr(data, "walk", None)
    while position < end:
        if (limit := limit - 1) < 0:
            raise Malformed("it has too many fields")
        if walk is not None:
            walk.step()
        tag, position = _varint(data, position, end)
        number, wire = (tag & 0xFFFFFFFF) >> 3, tag & 7
        field = _content(data, number, wire, position, end, names)
        position = field.end
        groups += (wire == GROUP) - (wire == GROUP_END)
        if groups < 0:
            raise Malformed("a group ends that never began")
        if not groups and wire != GROUP_END:
            yield field
    if groups:
        raise Malformed("it ends inside a group")


def _content(data: Buffer, number: int, wire: int, position: int, end: int, names: Mapping[int, str]) -> Field:
    if number == 0 or wire > FIXED32:
        raise Malformed(f"it holds a field of number {number} and type {wire}, which do not exist")
    if wire == VARINT:
        value, after = _varint(data, position, end)
        return Field(number, wire, position, after, value)
    size = _FIXED.get(wire, 0)
    if wire == BYTES:
        size, position = _varint(data, position, end)
    if position + size > end:
        name = names.get(number, f"number {number}")
        raise Malformed(f"its field {name} should have {size} bytes, {end - position} are left")
    return Field(number, wire, position, position + size)


def _varint(data: Buffer, position: int, end: int) -> tuple[int, int]:
    if isinstance(data, bytes) and position < min(end, len(data)) and (byte := data[position]) < 0x80:
        return byte, position + 1  # most are so small, and this is twice as fast
    chunk = data[position : min(position + 10, end)]
    value = 0
    for index, byte in enumerate(chunk):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise Malformed("it ends inside a number" if len(chunk) < 10 else "it holds a number of more than ten bytes")
