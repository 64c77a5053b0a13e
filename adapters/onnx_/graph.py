"""What ONNX Runtime does not tell about a model's inputs, read from the graph itself.

Its own metadata show an input without a declared shape as a scalar, and never the categories that a converted
scikit-learn encoder knows. A request that names an unknown category fails, so an example needs a known one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias

from adapters.formats.protobuf import BYTES, VARINT, Buffer, Field, FileBytes, Malformed, fields
from adapters.onnx_.proto import contains

#: one column of one input
Slot: TypeAlias = tuple[str, int]
Categories: TypeAlias = dict[Slot, tuple[str | int, ...]]

#: beyond these, columns have no example values of their own; concatenations could otherwise double without end
MAX_COLUMNS = 10_000
_MOST_BITS = 63

_ENCODERS = {"OneHotEncoder", "LabelEncoder"}
_KEPT = {"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}  #: these keep the columns in their order
_PICKED = {"Gather", "ArrayFeatureExtractor"}
_CONTROL = {"If", "Loop", "Scan", "SequenceMap"}
_COUNTING = {"NonMaxSuppression", "NonZero", "Compress", "Unique"}  #: how much they give depends on values
_CATEGORIES = {b"cats_strings", b"cats_int64s", b"keys_strings", b"keys_int64s"}


@dataclass(frozen=True)
class _Node:
    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: tuple[Field, ...]


def unranked_inputs(path: Path) -> set[str]:
    """Names of the graph's inputs that declare no shape, not even their number of dimensions."""
    with path.open("rb") as stream:
        data, size = FileBytes(stream), path.stat().st_size
        infos = [info for graph in _parts(data, 0, size, 7) for info in _parts(data, graph.start, graph.end, 11)]
        return {_text(data, info, 1) for info in infos if not _has_shape(data, info)}


def branches(path: Path) -> bool:
    """Whether values decide which nodes run, or how often: control flow, or functions that may hold it."""
    return _holds(path, _CONTROL)


def counts(path: Path) -> bool:
    """Whether values may decide how much it gives: it finds boxes, or what is not zero."""
    return _holds(path, _COUNTING)


def _holds(path: Path, operators: set[str]) -> bool:
    """Whether a node is one of these operators, or there are functions that may hold them."""
    with path.open("rb") as stream:
        data, size = FileBytes(stream), path.stat().st_size
        nodes = (node for graph in _parts(data, 0, size, 7) for node in _nodes(data, graph))
        return any(node.operator in operators for node in nodes) or any(True for _ in _parts(data, 0, size, 25))


def _has_shape(data: Buffer, info: Field) -> bool:
    tensors = [tensor for kind in _parts(data, info.start, info.end, 2) for tensor in _parts(data, *kind[2:4], 1)]
    return any(True for tensor in tensors for _ in _parts(data, tensor.start, tensor.end, 2))


def categories(path: Path, widths: Mapping[str, int]) -> Categories:
    """Up to two values that the model's encoders know, for each column of an input that reaches an encoder.

    `widths` gives the number of columns of every input. Columns are followed through concatenations, selections of
    one column and operators that leave them as they are; what is not understood is left out.
    """
    if not contains(path, *_CATEGORIES):
        return {}
    data = path.read_bytes()
    known: Categories = {}
    for graph in _parts(data, 0, len(data), 7):
        origin = {name: _slots(name, width) for name, width in widths.items()}
        numbers = dict(_numbers(data, graph))
        for node in _nodes(data, graph):
            slots = [origin.get(name, ()) for name in node.inputs]
            if node.operator in _ENCODERS and slots and (values := _values(data, node)):
                known.update(dict.fromkeys(slots[0], values))
            elif node.operator == "Concat":
                origin[node.output] = tuple(islice(chain.from_iterable(slots), MAX_COLUMNS))
            elif node.operator in _KEPT and slots:
                origin[node.output] = slots[0]
            elif node.operator in _PICKED and len(slots) == 2 and node.inputs[1] in numbers:
                origin[node.output] = slots[0][numbers[node.inputs[1]] :][:1]
    return known


def _slots(name: str, width: int) -> tuple[Slot, ...]:
    return tuple((name, column) for column in range(min(width, MAX_COLUMNS)))


def _parts(data: Buffer, start: int, end: int, number: int) -> Iterator[Field]:
    return (field for field in fields(data, start, end) if field.number == number and field.wire == BYTES)


def _text(data: Buffer, part: Field, number: int) -> str:
    found = [data[field.start : field.end] for field in _parts(data, part.start, part.end, number)]
    return found[-1].decode("utf-8", "replace") if found else ""


def _nodes(data: Buffer, graph: Field) -> Iterator[_Node]:
    for part in _parts(data, graph.start, graph.end, 1):
        inside = list(fields(data, part.start, part.end))
        inputs, outputs = (
            [data[field.start : field.end].decode("utf-8", "replace") for field in inside if field.number == number]
            for number in (1, 2)
        )
        attributes = tuple(field for field in inside if field.number == 5 and field.wire == BYTES)
        yield _Node(_text(data, part, 4), tuple(inputs), (outputs or [""])[0], attributes)


def _values(data: Buffer, node: _Node) -> tuple[str | int, ...]:
    for part in node.attributes:
        name = _text(data, part, 1).encode()
        if name not in _CATEGORIES:
            continue
        if name.endswith(b"strings"):
            strings = islice(_parts(data, part.start, part.end, 9), 2)
            return tuple(data[field.start : field.end].decode("utf-8", "replace") for field in strings)
        return tuple(islice(_integers(data, part, 8), 2))
    return ()


def _numbers(data: Buffer, graph: Field) -> Iterator[tuple[str, int]]:
    """The initializers that are one whole number, by name: the column that a selection picks."""
    for tensor in _parts(data, graph.start, graph.end, 5):
        raw = [
            data[field.start : field.start + 8]
            for field in _parts(data, tensor.start, tensor.end, 9)
            if _size(field) == 8
        ]
        values = list(islice(_integers(data, tensor, 7), 2)) or [int.from_bytes(item, "little") for item in raw]
        if len(values) == 1 and 0 <= values[0] < 1 << 31:
            yield _text(data, tensor, 8), values[0]


def _size(field: Field) -> int:
    return field.end - field.start


def _integers(data: Buffer, part: Field, number: int) -> Iterator[int]:
    """A repeated whole number, packed or not, as int64."""
    for field in fields(data, part.start, part.end):
        if field.number != number:
            continue
        if field.wire == VARINT:
            yield _signed(field.value)
        elif field.wire == BYTES:
            yield from map(_signed, _packed(data[field.start : field.end]))


def _packed(content: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in content:
        if shift > _MOST_BITS:  # of a number without an end each byte would take as long as all before it
            raise Malformed("it holds a number of more than ten bytes")
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
