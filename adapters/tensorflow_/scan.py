"""What a graph would do beside computing: operations that touch files, the network or Python.

Only what serving runs counts: what the signatures give, what initializes the model, what restores its variables. A
saver writes files, but nobody runs it; reading the model's own checkpoint and its own vocabulary files is no offence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from adapters.tensorflow_.graph import Graph, MetaGraph, Node

#: Whole families by the words in their names; `_HARMLESS` are the exceptions.
_FAMILIES = re.compile(
    r"File|Reader|PyFunc|Python|Sql|LMDB|RecordDataset|TextLine|CSVDataset|TFRecord|Snapshot|Checkpoint"
    r"|SummaryWriter|Summary(Db|File)Writer|^Write.*Summary$|^WriteSummary|DataService|Rpc|Remote|Bigtable|Kafka|Pubsub"
    r"|^Debug|DumpTensor|^(Save|Restore|LoadDataset|DistributedSave|DTensorRestore|CacheDataset|ImportEvent)"
    r"|SaveDataset|LoadAndRemap|VocabRemapping|^_?(Send|Recv|HostSend|HostRecv)$|^Collective|RegisterDataset"
    r"|FFmpeg|DecodeVideo|TPUEmbeddingHost|DistributedTPU|DatasetFromGraph|Mlir"
    r"|^RecordInput|FixedUnigramCandidateSampler|^(En|De)codeProto|^XlaCustomCall"
)
_HARMLESS = frozenset(
    {
        "DebugGradientIdentity", "DebugGradientRefIdentity", "IdentityReader", "IdentityReaderV2",
        "ReaderNumRecordsProduced", "ReaderNumRecordsProducedV2", "ReaderNumWorkUnitsCompleted",
        "ReaderNumWorkUnitsCompletedV2", "ReaderReset", "ReaderResetV2", "ReaderRestoreState", "ReaderRestoreStateV2",
        "ReaderSerializeState", "ReaderSerializeStateV2", "ShardedFilename", "ShardedFilespec", "Snapshot",
        "CloseSummaryWriter", "CollectiveAssignGroupV2",
    }
)  # fmt: skip
#: read a checkpoint: what restoring the variables is made of
_RESTORES = frozenset({"Restore", "RestoreSlice", "RestoreV2"})
#: read a text file, whose path is their second input
_TABLES = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
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


@dataclass(frozen=True, slots=True)
class GraphScan:
    """What the bytes of a model's files tell."""

    problem: str = ""
    offences: tuple[str, ...] = ()  #: operations that touch files, the network or Python, sorted
    steady: bool = False  #: nothing but arithmetic on dense tensors: no loop, no branch, nothing to wait for


def judge(meta: MetaGraph) -> GraphScan:
    """What a SavedModel's graph would do."""
    served = _Walk(meta.graph, meta.assets.keys())
    served.run(meta.fetched)
    restoring = _Walk(meta.graph, meta.assets.keys(), allowed=_RESTORES)
    restoring.run([meta.restore] if meta.restore else [])
    return GraphScan("", tuple(sorted(served.found | restoring.found)), served.kinds <= _DENSE)


def judge_frozen(graph: Graph) -> GraphScan:
    """What a frozen graph would do, whichever of its nodes are asked for."""
    walk = _Walk(graph, ())
    walk.run(graph.nodes)
    return GraphScan("", tuple(sorted(walk.found)), walk.kinds <= _DENSE)


def is_offence(node: Node) -> bool:
    """Whether an operation touches files, the network or Python."""
    if node.op == "PrintV2":
        return any(name == "output_stream" and not _STREAMS.fullmatch(text) for name, text in node.texts)
    return _FAMILIES.search(node.op) is not None and node.op not in _HARMLESS


@dataclass
class _Walk:
    """Follows a graph from what is asked of it back to what that needs, through the functions that it calls."""

    graph: Graph
    assets: Iterable[str]  #: tensors that take the path of one of the model's own files
    allowed: frozenset[str] = frozenset()
    found: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)  #: of the operations that were met, called functions left out
    _called: set[str] = field(default_factory=set)

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
            known = [_node_of(name) in paths for name in node.inputs if not name.startswith("^")]
            self._look(node, table=len(known) > 1 and known[1])
            self._call(node, known)
        if self._called:  # the optimizer may put one of these in another's place
            for name in [name for name, function in self.graph.functions.items() if function.swappable]:
                self._enter(name, ())

    def _paths(self) -> set[str]:
        """The nodes that give the path of one of the model's own files, directly or through a variable."""
        nodes = self.graph.nodes
        paths = {_node_of(name) for name in self.assets}
        through = set()
        for node in nodes.values() if paths else ():
            if node.op == "ReadVariableOp" and node.inputs:
                before = [nodes.get(_node_of(name)) for name in node.inputs[1:] if name.startswith("^")]
                if any(each and _assigns(each, node.inputs[0], paths) for each in before):
                    through.add(node.name)
        return paths | through

    def _look(self, node: Node, *, table: bool) -> None:
        if node.op not in self.graph.functions:
            self.kinds.add(node.op)
        if is_offence(node) and node.op not in self.allowed and not (table and node.op in _TABLES):
            self.found.add(node.op)

    def _call(self, node: Node, known: Iterable[bool]) -> None:
        """Enter the functions that a node calls; `known` says which arguments are paths of the model's own files."""
        for name in (node.op, *node.functions):
            self._enter(name, known)

    def _enter(self, name: str, known: Iterable[bool]) -> None:
        function = self.graph.functions.get(name)
        key = f"{name}({''.join(str(int(each)) for each in known)})"
        if function is None or key in self._called:
            return
        self._called.add(key)
        paths = {argument for argument, own in zip(function.arguments, known, strict=False) if own}
        for node in function.nodes:
            inputs = [name for name in node.inputs if not name.startswith("^")]
            self._look(node, table=len(inputs) > 1 and inputs[1] in paths)
            self._call(node, [name in paths for name in inputs])


def _assigns(node: Node, variable: str, paths: set[str]) -> bool:
    """Whether a node gives that variable the path of one of the model's own files."""
    if node.op != "AssignVariableOp" or len(node.inputs) < 2:
        return False
    return node.inputs[0] == variable and _node_of(node.inputs[1]) in paths


def _node_of(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
