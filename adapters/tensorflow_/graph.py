"""TensorFlow's graphs read from their files' bytes: no import of tensorflow, nothing executed.

    SavedModel -> MetaGraph* -> signatures, saver, assets, Graph
    Graph      -> nodes, and the functions that nodes call

Source: tensorflow/core/protobuf/{saved_model,meta_graph,saver}.proto, tensorflow/core/framework/{graph,function,
node_def,op_def,attr_value}.proto for the field numbers below.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.formats.protobuf import BYTES, Buffer, Field, FileBytes, Malformed, MemoryBytes, Walk, fields

#: larger files are read piece by piece: their bulk is weights, which the walk steps over
IN_MEMORY = 64 << 20

#: fields of a file that are looked at: a node has some twenty, and the largest graphs a hundred thousand nodes
MAX_FIELDS = 4_000_000

_MOST_ATTRIBUTES = 10_000  #: of a node, which has some ten; each takes two hundred bytes until all are there

_SAVED_MODEL = {2: "meta_graphs"}
_GRAPH_DEF = {1: "node", 2: "library"}


@dataclass(frozen=True, slots=True)
class Node:
    """An operation: its name and kind, what it reads ("node:1", "^node"), the functions that its attributes name."""

    name: str
    op: str
    inputs: tuple[str, ...]
    functions: tuple[str, ...]
    texts: tuple[tuple[str, bytes], ...] = ()  #: attributes that are texts, of the operations in `TEXTS_OF` only


@dataclass(frozen=True, slots=True)
class Function:
    """A graph that nodes call by its name."""

    arguments: tuple[str, ...]
    nodes: tuple[Node, ...]
    swappable: bool  #: the optimizer may put it in the place of another that does the same (`api_implements`)
    functions: tuple[str, ...] = ()  #: others that its attributes name, those of its signature by default
    results: tuple[tuple[str, str], ...] = ()  #: what it gives: the names, and the tensors of its own


@dataclass(slots=True)
class Graph:
    """A GraphDef."""

    nodes: dict[str, Node] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)


@dataclass(slots=True)
class MetaGraph:
    """A graph, and what is to be run of it. Tensors are named "node:0", operations "node"."""

    tags: set[str] = field(default_factory=set)
    graph: Graph = field(default_factory=Graph)
    filename: str = ""  #: the saver's tensor that takes the checkpoint's path
    restore: str = ""  #: the saver's operation that reads the checkpoint
    fetched: list[str] = field(default_factory=list)  #: tensors and operations of signatures and collections
    assets: dict[str, str] = field(default_factory=dict)  #: tensor -> the file in `assets` whose path it takes
    fed: list[str] = field(default_factory=list)  #: tensors that signatures take


#: operations whose text attributes say where they write
TEXTS_OF = frozenset({"PrintV2"})


def meta_graphs(path: Path) -> list[MetaGraph]:
    """The graphs of a `saved_model.pb`.

    Raises:
        Malformed: the file is truncated, or no SavedModel.
    """
    with _opened(path) as (data, size):
        return [_meta_graph(data, each) for each in _messages(fields(data, 0, size, names=_SAVED_MODEL), 2)]


def frozen_graph(path: Path) -> Graph:
    """The graph of a frozen `.pb`.

    Raises:
        Malformed: the file is truncated, or no graph.
    """
    graph = Graph()
    with _opened(path) as (data, size):
        _read_graph(data, 0, size, graph)
    return graph


def graph_of(data: bytes) -> Graph:
    """The graph that these bytes are.

    Raises:
        Malformed: they are no graph.
    """
    graph = Graph()
    _read_graph(data, 0, len(data), graph)
    return graph


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Buffer, int]]:
    with path.open("rb") as stream:
        size = path.stat().st_size
        if size > IN_MEMORY:
            yield FileBytes(stream, Walk(MAX_FIELDS)), size
            return
        data = MemoryBytes(stream.read())
        data.walk = Walk(MAX_FIELDS)
        yield data, size


def _messages(found: Iterator[Field], number: int) -> Iterator[Field]:
    return (each for each in found if each.number == number and each.wire == BYTES)


def _meta_graph(data: Buffer, span: Field) -> MetaGraph:
    meta = MetaGraph()
    for each in fields(data, span.start, span.end):
        if each.wire != BYTES:
            continue
        if each.number == 1:  # meta_info_def
            meta.tags |= {_text(data, tag) for tag in _messages(fields(data, each.start, each.end), 4)}
        elif each.number == 2:  # graph_def
            _read_graph(data, each.start, each.end, meta.graph)
        elif each.number == 3:  # saver_def
            saver = _texts(data, each)
            meta.filename, meta.restore = saver.get(1, meta.filename), saver.get(3, meta.restore)
        elif each.number == 4:  # collection_def: name -> CollectionDef
            meta.fetched += _collected(data, each)
        elif each.number == 5:  # signature_def: name -> SignatureDef
            meta.fetched += _of_signature(data, each, 2)
            meta.fed += _of_signature(data, each, 1)
        elif each.number == 6:  # asset_file_def
            tensor, file = _asset(data, each)
            meta.assets[tensor] = file
    return meta


def _collected(data: Buffer, entry: Field) -> Iterator[str]:
    """The nodes that a collection lists (the operations that initialize a model are found through one)."""
    for collection in _messages(fields(data, entry.start, entry.end), 2):
        for nodes in _messages(fields(data, collection.start, collection.end), 1):
            yield from (_text(data, value) for value in _messages(fields(data, nodes.start, nodes.end), 1))


def _of_signature(data: Buffer, entry: Field, number: int) -> Iterator[str]:
    """The tensors that a signature takes (1) or gives (2), plain, sparse or composite."""
    for signature in _messages(fields(data, entry.start, entry.end), 2):
        for port in _messages(fields(data, signature.start, signature.end), number):
            for info in _messages(fields(data, port.start, port.end), 2):
                yield from _tensors(data, info)


def _tensors(data: Buffer, info: Field, depth: int = 0) -> Iterator[str]:
    """The names in a TensorInfo: its own (1), those of a sparse tensor's parts (4), of a composite's components (5)."""
    if depth > 8:
        raise Malformed("its signatures are nested too deep")
    for each in fields(data, info.start, info.end):
        if each.wire != BYTES:
            continue
        if each.number == 1:
            yield _text(data, each)
        elif each.number == 4:
            yield from _texts(data, each).values()
        elif each.number == 5:
            for component in _messages(fields(data, each.start, each.end), 2):
                yield from _tensors(data, component, depth + 1)


def _asset(data: Buffer, span: Field) -> tuple[str, str]:
    tensor = file = ""
    for each in fields(data, span.start, span.end):
        if each.number == 1 and each.wire == BYTES:
            tensor = next(_tensors(data, each), "")
        elif each.number == 2 and each.wire == BYTES:
            file = _text(data, each)
    return tensor, file


def _read_graph(data: Buffer, start: int, end: int, graph: Graph) -> None:
    for each in fields(data, start, end, names=_GRAPH_DEF):
        if each.number == 1 and each.wire == BYTES:
            node = _node(data, each)
            graph.nodes[node.name] = node
        elif each.number == 2 and each.wire == BYTES:
            for function in _messages(fields(data, each.start, each.end), 1):
                name, read = _function(data, function)
                graph.functions[name] = read


def _function(data: Buffer, span: Field) -> tuple[str, Function]:
    name, arguments, nodes, swappable = "", [], [], False
    functions: list[str] = []
    outputs: list[str] = []
    given: dict[str, str] = {}
    for each in fields(data, span.start, span.end):
        if each.wire != BYTES:
            continue
        if each.number == 1:  # signature, an OpDef
            for part in fields(data, each.start, each.end):
                if part.number == 1 and part.wire == BYTES:
                    name = _text(data, part)
                elif part.number == 2 and part.wire == BYTES:
                    arguments.append(_texts(data, part).get(1, ""))
                elif part.number == 3 and part.wire == BYTES:
                    outputs.append(_texts(data, part).get(1, ""))
                elif part.number == 4 and part.wire == BYTES:  # attr: an AttrDef, its default_value field 3
                    functions += _called(data, part, 3)
        elif each.number == 3:
            nodes.append(_node(data, each))
        elif each.number == 4:  # ret: name of an output -> tensor
            ret = _texts(data, each)
            given[ret.get(1, "")] = ret.get(2, "")
        elif each.number == 5:  # attr: name -> AttrValue
            swappable = swappable or _texts(data, each).get(1) == "api_implements"
            functions += _called(data, each)
    results = tuple((output, given.get(output, "")) for output in outputs)
    return name, Function(tuple(arguments), tuple(nodes), swappable, tuple(functions), results)


def _node(data: Buffer, span: Field) -> Node:
    name = op = ""
    inputs: list[str] = []
    attributes: list[Field] = []
    for each in fields(data, span.start, span.end):
        if each.wire != BYTES:
            continue
        if each.number == 1:
            name = _text(data, each)
        elif each.number == 2:
            op = _text(data, each)
        elif each.number == 3:
            inputs.append(_text(data, each))
        elif each.number == 5:
            attributes.append(each)
            if len(attributes) > _MOST_ATTRIBUTES:
                raise Malformed(f"one of its nodes has more than {_MOST_ATTRIBUTES:,} attributes")
    functions = [called for each in attributes if _may_name(data, each) for called in _called(data, each)]
    texts = [_attribute(data, each) for each in attributes] if op in TEXTS_OF else []
    return Node(name, op, tuple(inputs), tuple(functions), tuple(texts))


def _may_name(data: Buffer, entry: Field) -> bool:
    """Whether an attribute could hold a function's name (a look that spares most of the walk)."""
    if not isinstance(data, bytes):
        return True
    return data.find(b"\x52", entry.start, entry.end) >= 0 or data.find(b"\x4a", entry.start, entry.end) >= 0


def _called(data: Buffer, entry: Field, number: int = 2) -> Iterator[str]:
    """The functions that an attribute names, `number` being its value: one (AttrValue.func) or several (list.func)."""
    for value in _messages(fields(data, entry.start, entry.end), number):
        for each in fields(data, value.start, value.end):
            if each.number == 10 and each.wire == BYTES:
                yield from _names(data, each)
            elif each.number == 1 and each.wire == BYTES:
                for function in _messages(fields(data, each.start, each.end), 9):
                    yield from _names(data, function)


def _names(data: Buffer, span: Field) -> Iterator[str]:
    """The name in a NameAttrList, and those in its own attributes."""
    for each in fields(data, span.start, span.end):
        if each.number == 1 and each.wire == BYTES:
            yield _text(data, each)
        elif each.number == 2 and each.wire == BYTES:
            yield from _called(data, each)


def _attribute(data: Buffer, entry: Field) -> tuple[str, bytes]:
    """An attribute's name and its text."""
    name, text = "", b""
    for each in fields(data, entry.start, entry.end):
        if each.number == 1 and each.wire == BYTES:
            name = _text(data, each)
        elif each.number == 2 and each.wire == BYTES:
            for value in _messages(fields(data, each.start, each.end), 2):
                text = data[value.start : value.end]
    return name, text


def _texts(data: Buffer, span: Field) -> dict[int, str]:
    """The texts of a flat message by field number; the last of each counts, as in protobuf."""
    return {each.number: _text(data, each) for each in fields(data, span.start, span.end) if each.wire == BYTES}


def _text(data: Buffer, span: Field) -> str:
    return data[span.start : span.end].decode("utf-8", "replace")
