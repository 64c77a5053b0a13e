"""Real ONNX graphs for the tests, and ways to serve them and to run them directly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from adapters.base import LoadError, ModelDir, Tensors
from adapters.onnx_.adapter import OnnxAdapter

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING

value = helper.make_tensor_value_info
node = helper.make_node
constant = numpy_helper.from_array


def graph(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    initializers: Sequence[Any] = (),
    domains: Sequence[tuple[str, int]] = (("", 17),),
    **more: Any,
) -> onnx.ModelProto:
    made = helper.make_graph(nodes, "graph", inputs, outputs, list(initializers), **more)
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains]
    return helper.make_model(made, opset_imports=opsets, ir_version=10)


def linear(width: int = 4, columns: int | None = 4) -> onnx.ModelProto:
    """x [N, columns] @ weights [width, 2]."""
    weights = constant(np.linspace(-1, 1, width * 2, dtype=np.float32).reshape(width, 2), "weights")
    return graph(
        [node("MatMul", ["x", "weights"], ["y"])],
        [value("x", FLOAT, ["N", columns])],
        [value("y", FLOAT, ["N", 2])],
        [weights],
    )


def identity(kind: int, dims: Sequence[Any] | None) -> onnx.ModelProto:
    return graph([node("Identity", ["x"], ["y"])], [value("x", kind, dims)], [value("y", kind, dims)], [])


def external(location: str, **entries: int) -> onnx.TensorProto:
    """A [4, 2] float tensor "weights" whose data lie in another file."""
    tensor = TensorProto(name="weights", data_type=FLOAT, dims=[4, 2], data_location=TensorProto.EXTERNAL)
    for key, content in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(content))
    return tensor


def write(folder: Path, model: onnx.ModelProto, name: str = "model.onnx") -> ModelDir:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(model.SerializeToString())
    return ModelDir.of(folder)


def load(directory: ModelDir, **options: Any) -> OnnxAdapter:
    match = OnnxAdapter.match(directory)
    assert match is not None
    if match.problem:
        raise LoadError(match.problem)
    return OnnxAdapter.load(directory, match.file, options)


def serve(folder: Path, model: onnx.ModelProto, **options: Any) -> OnnxAdapter:
    return load(write(folder, model), **options)


def direct(model: onnx.ModelProto, inputs: Tensors, level: str = "ENABLE_ALL") -> dict[str, Any]:
    """What ONNX Runtime itself gives, with default settings but for the threads."""
    settings = ort.SessionOptions()
    settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_{level}")
    settings.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))


def same(one: Any, two: Any) -> bool:
    """Equal bit for bit: dtype, shape and bytes (NaN included), or the objects."""
    if one.dtype != two.dtype or one.shape != two.shape:
        return False
    return bool(one.tolist() == two.tolist() if one.dtype == object else one.tobytes() == two.tobytes())
