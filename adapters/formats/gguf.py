"""The header of a GGUF file (llama.cpp's format): what it says of the model, and that its tensors lie within the file.

    magic, version, counts | keys and values | tensors: name, sizes, type, offset | the tensors' data

A file may be hostile, and whoever reads it afterwards believes it: so every count is bounded before anything of its
size is made, types are known ones, and tensors lie in the file beside each other. Then what they take in memory has to
do with the file's size.

Source: github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

MAGIC = b"GGUF"

#: versions that are read: 1 had other widths
_VERSIONS = (2, 3)
_MOST_VALUES, _MOST_TENSORS = 10_000, 100_000
_MOST_ELEMENTS = 4_000_000  #: of all arrays: half a million merges, and three for each of a million tokens
_MOST_HEADER = 256 * 2**20  #: bytes
_LONGEST_NAME, _LONGEST_TEXT = 64 * 1024, 4 * 2**20  #: bytes; a chat template is a text
_MOST_SIZES = 4
_LARGEST_ALIGNMENT = 1 << 20

_STRING, _ARRAY = 8, 9
#: type of a value -> its code in `struct`
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
#: type of a tensor -> numbers in a block, and its bytes
_TENSORS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18),
}  # fmt: skip


class MalformedGguf(ValueError):
    """The file is no whole GGUF file; the message says what of it is not."""


@dataclass(frozen=True, slots=True)
class ArrayLength:
    """An array of the header, by its length: what is in it is not kept."""

    length: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a file says of itself."""

    values: Mapping[str, Any]  #: texts, numbers and switches; arrays as `ArrayLength`
    tensors: Mapping[str, tuple[int, ...]]  #: by name: sizes, the innermost first
    numbers: int  #: in all tensors together

    def text(self, name: str) -> str:
        """A text, or "" where there is none of that name."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def length(self, name: str) -> int:
        """Of an array; 0 where there is none of that name."""
        value = self.values.get(name)
        return value.length if isinstance(value, ArrayLength) else 0


def read_header(stream: BinaryIO) -> GgufHeader:
    """
    Raises:
        MalformedGguf: the file is damaged, cut off, or asks for more than any model does.
    """
    size = os.fstat(stream.fileno()).st_size
    cursor = _Cursor(stream, min(size, _MOST_HEADER))
    if cursor.take(4) != MAGIC:
        raise MalformedGguf("it does not begin with GGUF")
    version = cursor.number("I")
    if version not in _VERSIONS:
        swapped = version & 0xFFFF == 0
        raise MalformedGguf(
            "its numbers are big-endian" if swapped else f"its version is {version}, and 2 and 3 are read"
        )
    tensors, values = cursor.number("Q"), cursor.number("Q")
    _bounded(values, _MOST_VALUES, "values")
    _bounded(tensors, _MOST_TENSORS, "tensors")
    read = _values(cursor, values)
    infos = [_tensor(cursor) for _ in range(tensors)]
    alignment = read.get("general.alignment", 32)
    if type(alignment) is not int or not 0 < alignment <= _LARGEST_ALIGNMENT or alignment & (alignment - 1):
        raise MalformedGguf(f"general.alignment is {alignment!r:.40}, and has to be a power of two")
    start = -(-cursor.position // alignment) * alignment
    return GgufHeader(read, _placed(infos, size - start), sum(math.prod(info.sizes) for info in infos))


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    sizes: tuple[int, ...]
    offset: int
    length: int  #: bytes


class _Cursor:
    """Reads a file from its beginning; never more than `limit` bytes of it."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self.position = 0
        self.elements = 0  #: of arrays, so far

    def take(self, count: int) -> bytes:
        self.position += count
        if self.position > self._limit:
            raise MalformedGguf(f"its header goes on behind byte {self._limit}: it is cut off, or damaged")
        found = self._stream.read(count)
        if len(found) != count:
            raise MalformedGguf("it was cut off while it was read")
        return found

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def text(self, most: int, what: str) -> str:
        length = self.number("Q")
        _bounded(length, most, f"bytes of {what}")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise MalformedGguf(f"{what} is no UTF-8") from error


def _values(cursor: _Cursor, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(count):
        name = cursor.text(_LONGEST_NAME, "a name")
        if name in found:
            raise MalformedGguf(f"the value {name!r:.80} is there twice")
        found[name] = _value(cursor, name)
    return found


def _value(cursor: _Cursor, name: str) -> Any:
    kind = cursor.number("I")
    if kind == _STRING:
        return cursor.text(_LONGEST_TEXT, f"the value {name!r:.80}")
    if kind in _SCALARS:
        return cursor.number(_SCALARS[kind])
    if kind != _ARRAY:
        raise MalformedGguf(f"the value {name!r:.80} is of type {kind}, which does not exist")
    kind, length = cursor.number("I"), cursor.number("Q")
    cursor.elements += length
    _bounded(cursor.elements, _MOST_ELEMENTS, "elements of arrays")
    if kind == _STRING:
        for _ in range(length):
            text = cursor.number("Q")
            _bounded(text, _LONGEST_TEXT, f"bytes of a text in {name!r:.80}")
            cursor.take(text)
    elif kind in _SCALARS:
        cursor.take(length * struct.calcsize("<" + _SCALARS[kind]))
    else:
        raise MalformedGguf(f"the array {name!r:.80} has elements of type {kind}, which is none of those that are read")
    return ArrayLength(length)


def _tensor(cursor: _Cursor) -> _Tensor:
    name = cursor.text(_LONGEST_NAME, "a tensor's name")
    count = cursor.number("I")
    if not 0 < count <= _MOST_SIZES:
        raise MalformedGguf(f"the tensor {name!r:.80} has {count} sizes, and may have 1 to {_MOST_SIZES}")
    sizes = tuple(cursor.number("Q") for _ in range(count))
    kind, offset = cursor.number("I"), cursor.number("Q")
    if kind not in _TENSORS:
        raise MalformedGguf(f"the tensor {name!r:.80} is of type {kind}, which is none of those that are read")
    block, size = _TENSORS[kind]
    if not all(sizes) or sizes[0] % block:
        raise MalformedGguf(f"the tensor {name!r:.80} is {_shown(sizes)}, which its type has no blocks for")
    return _Tensor(name, sizes, offset, math.prod(sizes) // block * size)


def _placed(infos: list[_Tensor], available: int) -> dict[str, tuple[int, ...]]:
    """Sizes by name, once it is known that the tensors lie in the file, and on none of each other's bytes."""
    end = 0
    for info in sorted(infos, key=lambda info: info.offset):
        if info.offset < end:
            raise MalformedGguf(f"the tensor {info.name!r:.80} begins within another")
        end = info.offset + info.length
        if end > available:
            raise MalformedGguf(
                f"it is cut off: the tensor {info.name!r:.80} ({_shown(info.sizes)}) ends {end - available} bytes "
                "behind the file"
            )
    found = {info.name: info.sizes for info in infos}
    if len(found) != len(infos):
        raise MalformedGguf("two tensors have one name")
    return found


def _bounded(count: int, most: int, what: str) -> None:
    if count > most:
        raise MalformedGguf(f"it tells of {count} {what}, and {most} are read at most")


def _shown(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
