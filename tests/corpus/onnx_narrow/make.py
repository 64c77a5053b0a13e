"""A graph of UINT8: what does not fit it is refused, not wrapped round."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def make(folder: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", 1])
    y = helper.make_tensor_value_info("y", TensorProto.UINT8, ["n", 1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))
