"""The protobuf wire format of an ONNX file, as far as serving needs it: no import of onnx, nothing executed.

Two questions are answered from the bytes alone: is this a whole `ModelProto`, and which files beside it do its tensors
name (`TensorProto.external_data`)? A file may be hostile, so every step is bounded.

Source: onnx.proto (field numbers below).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from adapters.formats.protobuf import BYTES, MAX_DEPTH, VARINT, FileBytes, Malformed, fields
from adapters.formats.strays import HEAD, stray

#: a ModelProto has about ten fields, and one more for every function and every line of metadata
MAX_TOP_LEVEL = 20_000

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
_LOCATION = b"location"


def complaint(path: Path) -> str:
    """Why the file is no whole ONNX model, in words that follow its name; "" when its top level is sound."""
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    seen: set[tuple[int, int]] = set()
    with path.open("rb") as stream:
        head = stream.read(HEAD)
        if told := stray(head):
            return told
        try:
            for field in fields(FileBytes(stream), 0, size, MAX_TOP_LEVEL, _TOP_LEVEL):
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
