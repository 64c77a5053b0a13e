"""The nodes of an ONNX file, in every graph and function, read from its bytes: for `audit`.

Weights and long lists (forests, vocabularies) are skipped. A file may be hostile: what it may cost is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from adapters.formats.protobuf import BYTES, MAX_DEPTH, Buffer, Field, FileBytes, Malformed, fields

#: fields of nodes, graphs and functions in all: some hundred thousand nodes
MAX_PARTS = 2_000_000
#: elements of attributes that are lists of texts
MAX_TEXTS = 20_000_000
_IN_MEMORY = 1 << 20  #: bytes of a node that is read at once
_WINDOW = 1 << 16

#: an attribute's numbers, each a field of its own: floats (7) and ints (8)
_NUMBERS = re.compile(rb"(?s:\x3d.{4}|\x40[\x80-\xff]{0,9}[\x00-\x7f])*+")
_TEXT = 0x4A  #: one of its texts (9)

#: domain and name; ONNX' own domain is ""
Operator: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One call of an operator, or of a function of the file."""

    operator: Operator
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    graphs: tuple[OnnxGraph, ...]


@dataclass(slots=True)
class OnnxGraph:
    """A graph, or the body of a function, whose `graphs` are then its attributes' defaults."""

    nodes: list[OnnxNode] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    constants: set[str] = field(default_factory=set)  #: initializers
    graphs: list[OnnxGraph] = field(default_factory=list)


@dataclass(slots=True)
class Model:
    """All of a file that runs, and all that is there and may not."""

    graph: OnnxGraph = field(default_factory=OnnxGraph)
    functions: dict[Operator, list[OnnxGraph]] = field(default_factory=dict)
    training: list[OnnxGraph] = field(default_factory=list)
    metadata: set[str] = field(default_factory=set)  #: keys
    ir_version: int = 0


def read(path: Path) -> Model:
    """
    Raises:
        Malformed: a message is broken, nested too deep, or there are more nodes than any model has.
    """
    with path.open("rb") as stream:
        return _Reader(FileBytes(stream)).model(path.stat().st_size)


class _Reader:
    def __init__(self, data: Buffer) -> None:
        self._data = data
        self._parts = MAX_PARTS
        self._texts = MAX_TEXTS

    def model(self, size: int) -> Model:
        data, found = self._data, Model()
        for part in self._fields(data, 0, size):
            match part.number, part.wire:
                case 1, 0:
                    found.ir_version = part.value
                case 7, 2:  # protobuf merges a message that is given twice
                    self._graph(data, part, found.graph, 0)
                case 14, 2:
                    found.metadata.add(self._text(data, part, 1))
                case 20, 2:
                    for inner in self._fields(data, part.start, part.end):
                        if inner.number in (1, 2) and inner.wire == BYTES:
                            found.training.append(self._graph(data, inner, OnnxGraph(), 0))
                case 25, 2:
                    operator, body = self._function(data, part)
                    found.functions.setdefault(operator, []).append(body)
        return found

    def _fields(self, data: Buffer, start: int, end: int) -> Iterator[Field]:
        for part in fields(data, start, end):
            self._parts -= 1
            if self._parts < 0:
                raise Malformed(f"its nodes have more than {MAX_PARTS} parts")
            yield part

    def _graph(self, data: Buffer, place: Field, graph: OnnxGraph, depth: int) -> OnnxGraph:
        if depth > MAX_DEPTH:
            raise Malformed("its graphs are nested too deep")
        for part in self._fields(data, place.start, place.end):
            if part.wire != BYTES:
                continue
            if part.number == 1:
                graph.nodes.append(self._node(data, part, depth))
            elif part.number in (11, 12):
                (graph.inputs if part.number == 11 else graph.outputs).append(self._text(data, part, 1))
            elif part.number == 5:
                graph.constants.add(self._text(data, part, 8))
        return graph

    def _function(self, data: Buffer, place: Field) -> tuple[Operator, OnnxGraph]:
        graph, name, domain = OnnxGraph(), "", ""
        for part in self._fields(data, place.start, place.end):
            if part.wire != BYTES:
                continue
            match part.number:
                case 1:
                    name = _decoded(data, part)
                case 10:
                    domain = _decoded(data, part)
                case 4:
                    graph.inputs.append(_decoded(data, part))
                case 5:
                    graph.outputs.append(_decoded(data, part))
                case 7:
                    graph.nodes.append(self._node(data, part, 0))
                case 11:
                    graph.graphs += self._graphs_of(data, part, 0)
        return (_domain(domain), name), graph

    def _node(self, data: Buffer, place: Field, depth: int) -> OnnxNode:
        start, end = place.start, place.end
        if end - start <= _IN_MEMORY:
            data, start, end = data[start:end], 0, end - start
        name = domain = ""
        inputs: list[str] = []
        outputs: list[str] = []
        graphs: list[OnnxGraph] = []
        for part in self._fields(data, start, end):
            if part.wire != BYTES:
                continue
            match part.number:
                case 1:
                    inputs.append(_decoded(data, part))
                case 2:
                    outputs.append(_decoded(data, part))
                case 4:
                    name = _decoded(data, part)
                case 5:
                    graphs += self._graphs_of(data, part, depth)
                case 7:
                    domain = _decoded(data, part)
        return OnnxNode((_domain(domain), name), tuple(inputs), tuple(outputs), tuple(graphs))

    def _graphs_of(self, data: Buffer, attribute: Field, depth: int) -> list[OnnxGraph]:
        """The graphs that an attribute holds: `g` (6) and `graphs` (11)."""
        found: list[OnnxGraph] = []
        merged: OnnxGraph | None = None
        at = attribute.start
        while (at := self._behind_lists(data, at, attribute.end)) < attribute.end:
            part = next(self._fields(data, at, attribute.end), None)
            if part is None:  # what is left are groups, an old form
                break
            at = part.end
            if part.wire == BYTES and part.number == 6:
                merged = self._graph(data, part, merged or OnnxGraph(), depth + 1)
            elif part.wire == BYTES and part.number == 11:
                found.append(self._graph(data, part, OnnxGraph(), depth + 1))
        return [*found, merged] if merged else found

    def _behind_lists(self, data: Buffer, at: int, end: int) -> int:
        while at < end:
            window = data[at : min(at + _WINDOW, end)]
            if (numbers := _NUMBERS.match(window)) and numbers.end():
                at += numbers.end()
                continue
            inside = 0
            while inside + 1 < len(window) and window[inside] == _TEXT and window[inside + 1] < 0x80:
                if inside + 2 + window[inside + 1] > len(window):
                    break
                inside += 2 + window[inside + 1]
                self._texts -= 1
            if self._texts < 0:
                raise Malformed(f"its attributes have more than {MAX_TEXTS} texts")
            if not inside:
                return at
            at += inside
        return at

    def _text(self, data: Buffer, place: Field, number: int) -> str:
        found = ""
        for part in self._fields(data, place.start, place.end):
            if part.number == number and part.wire == BYTES:
                found = _decoded(data, part)
        return found


def _decoded(data: Buffer, part: Field) -> str:
    return data[part.start : part.end].decode("utf-8", "surrogateescape")


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name
