"""The protobuf wire format of an ONNX file, as far as serving needs it: no import of onnx, nothing executed.

Two questions are answered from the bytes alone: is this a whole `ModelProto`, and which files beside it do its tensors
name (`TensorProto.external_data`)? A file may be hostile, so every step is bounded.

Source: onnx.proto (field numbers below), protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = range(6)

#: protobuf's own parser gives up at this depth, so ONNX Runtime cannot load anything deeper
MAX_DEPTH = 100
#: a ModelProto has about ten fields, and one more for every function and every line of metadata
MAX_TOP_LEVEL = 20_000
#: a model's nodes and initializers number in the hundred thousands at most
MAX_FIELDS = 10_000_000

#: message -> field number -> message, for every way from a model to a tensor that may name a file
_WAYS: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
}

_TOP_LEVEL = {1: "ir_version", 7: "graph", 8: "opset_import"}
_FIXED = {FIXED32: 4, FIXED64: 8}
_LOCATION = b"location"


class Malformed(ValueError):
    """The bytes are not a whole protobuf message."""


class Buffer(Protocol):
    """Bytes, in memory or in a file."""

    def __getitem__(self, span: slice, /) -> bytes: ...


class FileBytes:
    """A file's bytes by slice. Not a memory map: a file that shrinks under a map ends the process."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

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


def fields(data: Buffer, start: int, end: int, limit: int = MAX_FIELDS) -> Iterator[Field]:
    """The fields of the message in `data[start:end]`, in order; groups (which ONNX does not use) are skipped.

    Raises:
        Malformed: the bytes end inside a field, or are no message at all.
    """
    position, groups = start, 0
    while position < end:
        if (limit := limit - 1) < 0:
            raise Malformed("it has too many fields")
        tag, position = _varint(data, position, end)
        number, wire = (tag & 0xFFFFFFFF) >> 3, tag & 7
        field = _content(data, number, wire, position, end)
        position = field.end
        groups += (wire == GROUP) - (wire == GROUP_END)
        if groups < 0:
            raise Malformed("a group ends that never began")
        if not groups and wire != GROUP_END:
            yield field
    if groups:
        raise Malformed("it ends inside a group")


def _content(data: Buffer, number: int, wire: int, position: int, end: int) -> Field:
    if number == 0 or wire > FIXED32:
        raise Malformed(f"it holds a field of number {number} and type {wire}, which do not exist")
    if wire == VARINT:
        value, after = _varint(data, position, end)
        return Field(number, wire, position, after, value)
    size = _FIXED.get(wire, 0)
    if wire == BYTES:
        size, position = _varint(data, position, end)
    if position + size > end:
        name = _TOP_LEVEL.get(number, f"number {number}")
        raise Malformed(f"its field {name} should have {size} bytes, {end - position} are left")
    return Field(number, wire, position, position + size)


def _varint(data: Buffer, position: int, end: int) -> tuple[int, int]:
    chunk = data[position : min(position + 10, end)]
    value = 0
    for index, byte in enumerate(chunk):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise Malformed("it ends inside a number" if len(chunk) < 10 else "it holds a number of more than ten bytes")


def complaint(path: Path) -> str:
    """Why the file is no whole ONNX model, in words that follow its name; "" when its top level is sound."""
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    seen: set[tuple[int, int]] = set()
    with path.open("rb") as stream:
        if stream.read(24) == b"version https://git-lfs.":
            return "is a Git LFS pointer, not the model: fetch the model with `git lfs pull`"
        try:
            for field in fields(FileBytes(stream), 0, size, MAX_TOP_LEVEL):
                seen.add((field.number, field.wire))
        except Malformed as error:
            if (1, VARINT) in seen:
                return f"is truncated or damaged: {error}"
    if (1, VARINT) not in seen:
        return "is not an ONNX model: it does not begin with an ir_version"
    missing = [name for number, name in _TOP_LEVEL.items() if number > 1 and (number, BYTES) not in seen]
    return f"is truncated or damaged: it has no {' and no '.join(missing)}" if missing else ""


def contains(path: Path, *words: bytes) -> bool:
    """Whether any of the words occurs in the file, read in blocks."""
    overlap = b""
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            block = overlap + block
            if any(word in block for word in words):
                return True
            overlap = block[-max(map(len, words)) :]
    return False


def external_locations(path: Path) -> list[str]:
    """The files that tensors anywhere in the model name as the place of their data, sorted.

    Initializers, sparse initializers, attributes, subgraphs, functions and training graphs are searched, whether or
    not the tensor says that its data are external.

    Raises:
        Malformed: a message on the way is broken, or nested deeper than protobuf itself allows.
    """
    if not contains(path, _LOCATION):
        return []
    data = path.read_bytes()
    return sorted({place.decode("utf-8", "surrogateescape") for place in _locations(data, 0, len(data), "Model", 0)})


def _locations(data: bytes, start: int, end: int, message: str, depth: int) -> Iterator[bytes]:
    if depth > MAX_DEPTH:
        raise Malformed("its messages are nested too deep")
    if message == "Entry":
        entry = {field.number: data[field.start : field.end] for field in fields(data, start, end)}
        if entry.get(1) == _LOCATION:
            yield entry.get(2, b"")
        return
    ways = _WAYS[message]
    for field in fields(data, start, end):
        # Looking for the word first spares the walk through forests and vocabularies, millions of fields long.
        if field.wire == BYTES and field.number in ways and data.find(_LOCATION, field.start, field.end) >= 0:
            yield from _locations(data, field.start, field.end, ways[field.number], depth + 1)
