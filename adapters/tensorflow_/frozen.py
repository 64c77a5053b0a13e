"""Frozen graphs: one `.pb` that holds a GraphDef, its variables made constants. It names neither inputs nor outputs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from adapters.base import LoadError
from adapters.formats.protobuf import Malformed
from adapters.tensorflow_.graph import frozen_graph
from adapters.tensorflow_.scan import GraphScan, judge_frozen
from adapters.tensorflow_.session import Tensor, entry, open_session
from adapters.tensorflow_.types import DATATYPES, Entry, message_of, port, tensorflow
from adapters.tensorflow_.value_flow import sized_by_values

#: operations that nobody reads from, and that still are no outputs
_NO_OUTPUTS = frozenset({"Placeholder", "PlaceholderWithDefault", "Const", "Assert", "Print", "PrintV2", "NoOp"})
_VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp"})


def contents(path: Path) -> GraphScan:
    """Look at the file without TensorFlow; it may be anything. A problem is in words that follow its name."""
    status = path.stat()
    return _read(path, status.st_size, status.st_mtime_ns) if status.st_size else GraphScan("is empty")


@lru_cache(maxsize=4)
def _read(path: Path, size: int, changed: int) -> GraphScan:
    """`contents`, kept: a folder is looked at several times while it is loaded."""
    try:
        graph = frozen_graph(path)
    except (Malformed, RecursionError) as error:
        return GraphScan(f"is truncated or damaged: {error}")
    kinds = {node.op for node in graph.nodes.values()}
    if not kinds or "" in kinds:
        return GraphScan("is no TensorFlow graph: it is neither a frozen graph nor a SavedModel (saved_model.pb)")
    if kinds & _VARIABLES:
        return GraphScan(
            "is a graph that is not frozen: its variables' values are not in it. Bring the whole SavedModel"
        )
    return judge_frozen(graph)


def sized(path: Path, inputs: str) -> str:
    """As `GraphScan.sized`, where requests give the tensors that the option names."""
    graph = frozen_graph(path)
    return sized_by_values(graph, graph.nodes, _split(inputs))


def load(path: Path, inputs: str, outputs: str) -> tuple[Any, list[Entry]]:
    """The session, and the only signature; `inputs` and `outputs` are the options: names with commas between.

    Raises:
        LoadError: it cannot be loaded, or its inputs and outputs cannot be told.
    """
    tf = tensorflow()
    session = open_session()
    try:
        with session.graph.as_default():
            tf.graph_util.import_graph_def(_parsed(tf, path), name="")
        taken, given = _inputs(session.graph, inputs), _outputs(session.graph, outputs)
        return session, [entry(session, "serving_default", taken, given)]
    except LoadError:
        session.close()
        raise
    except Exception as error:
        session.close()
        raise LoadError(f"TensorFlow cannot load {path.name}: {message_of(error)}") from error


def _parsed(tf: Any, path: Path) -> Any:
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(path.read_bytes())
    return graph


def _inputs(graph: Any, named: str) -> list[Tensor]:
    if named:
        return [_named(graph, name, "inputs") for name in _split(named)]
    placeholders = [operation for operation in graph.get_operations() if operation.type == "Placeholder"]
    if not placeholders:
        raise LoadError("the graph has no placeholder: name its inputs in polyserve.yaml, `options: {inputs: NAME}`")
    return [_tensor(operation.outputs[0], operation.name, "input") for operation in placeholders]


def _outputs(graph: Any, named: str) -> list[Tensor]:
    if named:
        return [_named(graph, name, "outputs") for name in _split(named)]
    found = [
        _tensor(tensor, operation.name if len(operation.outputs) == 1 else tensor.name, "output")
        for operation in graph.get_operations()
        if operation.type not in _NO_OUTPUTS and not any(tensor.consumers() for tensor in operation.outputs)
        for tensor in operation.outputs
        if tensor.dtype.name in DATATYPES
    ]
    if not found:
        raise LoadError("the graph's outputs cannot be told: name them in polyserve.yaml, `options: {outputs: NAME}`")
    return found


def _split(names: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def _named(graph: Any, name: str, option: str) -> Tensor:
    try:
        tensor = graph.get_tensor_by_name(name if ":" in name else f"{name}:0")
    except (KeyError, ValueError) as error:
        hint = _nearest(name, [operation.name for operation in graph.get_operations()])
        raise LoadError(f"options.{option}: the graph has no tensor {name!r}{hint}") from error
    return _tensor(tensor, name.removesuffix(":0"), option.removesuffix("s"))


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.partition(":")[0], known[:10_000], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _tensor(tensor: Any, name: str, direction: str) -> Tensor:
    return Tensor(port(name, tensor.dtype, tensor.shape, f"{direction} {name!r}"), tensor.name)
