"""What a graph would do beside computing: the operations that are not known to do nothing else.

Only what serving runs counts: what the signatures give, what initializes the model, what restores its variables. A
saver writes files, but nobody runs it; reading the model's own checkpoint and its own vocabulary files is no offence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from adapters.tensorflow_.graph import Graph, MetaGraph, Node
from adapters.tensorflow_.operations import HARMLESS, PRINTING
from adapters.tensorflow_.value_flow import PLACEHOLDERS, sized_by_values

#: what reads one of the model's own files, and which input takes the path: a checkpoint; a text file
_RESTORES = {"Restore": 0, "RestoreSlice": 0, "RestoreV2": 0}
_TABLES = {"InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1}
#: arithmetic whose time depends on its inputs' shapes alone, and what holds it together
_DENSE = frozenset(
    {
        "Abs", "Add", "AddN", "AddV2", "AssignVariableOp", "AvgPool", "BatchMatMul", "BatchMatMulV2", "BiasAdd", "Cast",
        "ConcatV2", "Const", "Conv1D", "Conv2D", "DepthwiseConv2dNative", "Div", "Elu", "Exp", "ExpandDims",
        "FusedBatchNorm", "FusedBatchNormV3", "Identity", "IdentityN", "LeakyRelu", "Log", "MatMul", "Max", "MaxPool",
        "Maximum", "Mean", "Min", "Minimum", "Mul", "Neg", "NoOp", "Pack", "Pad", "PadV2", "PartitionedCall",
        "Placeholder", "Pow", "ReadVariableOp", "RealDiv", "Relu", "Relu6", "Reshape", "Rsqrt", "Selu", "Shape",
        "Sigmoid", "Softmax", "Softplus", "Split", "Sqrt", "Square", "SquaredDifference", "Squeeze",
        "StatefulPartitionedCall", "StopGradient", "StridedSlice", "Sub", "Sum", "Tanh", "Transpose", "VarHandleOp",
        "VarIsInitializedOp", "Variable", "VariableV2",
    }
)  # fmt: skip
_STREAMS = re.compile(rb"stdout|stderr|log\(\w+\)")
#: ways of calling one function, by which of its arguments are paths of the model's own, that are told apart
_MAX_WAYS = 32
_MOST_TOLD = 10_000  #: arguments of one that are told apart; of more none counts as such a path


@dataclass(frozen=True, slots=True)
class GraphScan:
    """What the bytes of a model's files tell."""

    problem: str = ""
    offences: tuple[str, ...] = ()  #: operations that are not known to do nothing but compute, sorted
    printing: tuple[str, ...] = ()  #: operations that write what a request brings into the log, sorted
    sized: str = ""  #: an operation that makes as much of a request as its values say
    steady: bool = False  #: nothing but arithmetic on dense tensors: no loop, no branch, nothing to wait for


def judge(meta: MetaGraph) -> GraphScan:
    """What a SavedModel's graph would do."""
    served = _Walk(meta.graph, meta.assets.keys(), _TABLES)
    served.run(meta.fetched)
    restoring = _Walk(meta.graph, {meta.filename} - {""}, _RESTORES)
    restoring.run([meta.restore] if meta.restore else [])
    fed = {*meta.fed, *_placeholders(meta.graph)}
    return replace(_scan(served, restoring), sized=sized_by_values(meta.graph, meta.fetched, fed))


def judge_frozen(graph: Graph) -> GraphScan:
    """What a frozen graph would do, whichever of its nodes are asked for."""
    walk = _Walk(graph, (), {})
    walk.run(graph.nodes)
    return replace(_scan(walk), sized=sized_by_values(graph, graph.nodes, _placeholders(graph)))


def _placeholders(graph: Graph) -> set[str]:
    return {node.name for node in graph.nodes.values() if node.op in PLACEHOLDERS}


def _scan(served: _Walk, *others: _Walk) -> GraphScan:
    found = served.found.union(*(walk.found for walk in others))
    printing = PRINTING & served.kinds.union(*(walk.kinds for walk in others))
    return GraphScan("", tuple(sorted(found)), tuple(sorted(printing)), steady=served.kinds <= _DENSE)


def is_offence(node: Node) -> bool:
    """Whether an operation is not known to do nothing but compute."""
    if node.op == "PrintV2":
        return any(name == "output_stream" and not _STREAMS.fullmatch(text) for name, text in node.texts)
    return node.op not in HARMLESS and node.op not in PRINTING


@dataclass
class _Walk:
    """Follows a graph from what is asked of it back to what that needs, through the functions that it calls."""

    graph: Graph
    given: Iterable[str]  #: tensors that take the path of one of the model's own files
    readers: Mapping[str, int]  #: operations that may read those, and which input takes the path
    found: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)  #: of the operations that were met, called functions left out
    #: functions that are called, and for each way of calling it which arguments are paths of the model's own files
    _ways: dict[str, set[tuple[bool, ...]]] = field(default_factory=dict)
    _called: list[tuple[str, tuple[bool, ...]]] = field(default_factory=list)

    def run(self, wanted: Iterable[str]) -> None:
        paths = self._paths()
        seen: set[str] = set()
        waiting = [_node_of(name) for name in wanted]
        while waiting:
            node = self.graph.nodes.get(waiting.pop())
            if node is None or node.name in seen:
                continue
            seen.add(node.name)
            waiting += map(_node_of, node.inputs)
            self._look(node, [_given(name) in paths for name in node.inputs if not name.startswith("^")])
        if self._ways:  # the optimizer may put one of these in another's place
            for name in [name for name, function in self.graph.functions.items() if function.swappable]:
                self._call(name, ())
        while self._called:
            self._enter(*self._called.pop())

    def _paths(self) -> set[str]:
        """The nodes that give the path of one of the model's own files, directly or through a variable."""
        nodes = self.graph.nodes
        paths = {_node_of(name) for name in self.given}
        through = set()
        for node in nodes.values() if paths else ():
            if node.op == "ReadVariableOp" and node.inputs:
                before = [nodes.get(_node_of(name)) for name in node.inputs[1:] if name.startswith("^")]
                if any(each and _assigns(each, node.inputs[0], paths) for each in before):
                    through.add(node.name)
            elif node.op == "Identity" and any(_given(name) in paths for name in node.inputs[:1]):
                paths.add(node.name)
        return paths | through

    def _look(self, node: Node, known: Sequence[bool]) -> None:
        """`known` says which of its inputs are paths of the model's own files."""
        place = self.readers.get(node.op, len(known))
        if node.op not in self.graph.functions:
            self.kinds.add(node.op)
            if is_offence(node) and not any(known[place : place + 1]):
                self.found.add(node.op)
        way = tuple(known) if len(known) <= _MOST_TOLD else ()
        for name in dict.fromkeys((node.op, *node.functions)):
            self._call(name, way)

    def _call(self, name: str, way: tuple[bool, ...]) -> None:
        if name not in self.graph.functions:
            return
        ways = self._ways.setdefault(name, set())
        way = way if len(ways) < _MAX_WAYS else ()
        if way not in ways:
            ways.add(way)
            self._called.append((name, way))

    def _enter(self, name: str, known: Sequence[bool]) -> None:
        function = self.graph.functions[name]
        paths = {argument for argument, own in zip(function.arguments, known, strict=False) if own}
        for other in dict.fromkeys(function.functions):
            self._call(other, ())
        for node in function.nodes:
            inputs = [name in paths for name in node.inputs if not name.startswith("^")]
            self._look(node, inputs)
            if node.op == "Identity" and any(inputs[:1]):
                paths.add(f"{node.name}:output:0")


def _assigns(node: Node, variable: str, paths: set[str]) -> bool:
    """Whether a node gives that variable the path of one of the model's own files."""
    if node.op != "AssignVariableOp" or len(node.inputs) < 2:
        return False
    return node.inputs[0] == variable and _given(node.inputs[1]) in paths


def _node_of(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _given(tensor: str) -> str:
    """The node that gives an input its value; "" for one that is only to run before."""
    return "" if tensor.startswith("^") else _node_of(tensor)
