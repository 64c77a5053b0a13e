"""The ONNX adapter on real graphs: signature, rows, values equal to ONNX Runtime called directly, errors."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
import pandas as pd
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from adapters.base import InvalidInput, LoadError, ModelDir, Tensors
from adapters.onnx_.adapter import OnnxAdapter
from adapters.onnx_.trial import SIZES
from server.codec import v1, v2
from tests.adapters.onnx_.models import (
    FLOAT,
    INT64,
    STRING,
    constant,
    direct,
    graph,
    identity,
    linear,
    node,
    same,
    serve,
    value,
    write,
)

Shapes = dict[str, tuple[str, tuple[int, ...]]]


def inputs_of(adapter: OnnxAdapter) -> Shapes:
    return {spec.name: (spec.datatype, spec.shape) for spec in adapter.signature.inputs}


def outputs_of(adapter: OnnxAdapter) -> Shapes:
    return {spec.name: (spec.datatype, spec.shape) for spec in adapter.signature.outputs}


def check(adapter: OnnxAdapter, model: onnx.ModelProto, inputs: Tensors) -> dict[str, Any]:
    """Tensor outputs equal those of ONNX Runtime called directly, and fit the signature."""
    given = adapter.predict(inputs, {})
    expected = direct(model, inputs)
    assert list(given) == list(expected) == [spec.name for spec in adapter.signature.outputs]
    for spec in adapter.signature.outputs:
        assert spec.json or same(given[spec.name], expected[spec.name])
        assert given[spec.name].dtype == spec.dtype
        assert len(given[spec.name].shape) == len(spec.shape)
        assert all(size in (-1, real) for size, real in zip(spec.shape, given[spec.name].shape, strict=True))
    return given


def check_example(adapter: OnnxAdapter, model: onnx.ModelProto) -> None:
    """The example fits the signature and runs; its rows differ, so that a batch can be told from its rows."""
    example = adapter.example()
    assert {name: (array.dtype, array.ndim) for name, array in example.items()} == {
        spec.name: (spec.dtype, len(spec.shape)) for spec in adapter.signature.inputs if not spec.optional
    }
    given = adapter.predict(example, {})
    if adapter.signature.batched:
        assert {len(array) for array in (*example.values(), *given.values())} == {2}
        assert any(array[0].tolist() != array[1].tolist() for array in example.values())


# --- converted scikit-learn models -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def iris() -> tuple[Any, Any]:
    rows, labels = load_iris(return_X_y=True)
    return rows.astype(np.float32), labels


@pytest.mark.parametrize("names", [None, np.array(["setosa", "versicolor", "virginica"])])
def test_classifier_with_maps(tmp_path: Path, iris: tuple[Any, Any], names: Any) -> None:
    rows, labels = iris
    labels = labels if names is None else names[labels]
    model = to_onnx(LogisticRegression(max_iter=300).fit(rows, labels), rows[:1])
    adapter = serve(tmp_path, model)
    assert inputs_of(adapter) == {"X": ("FP32", (-1, 4))}
    kind = "INT64" if names is None else "BYTES"
    assert outputs_of(adapter) == {"output_label": (kind, (-1,)), "output_probability": ("BYTES", (-1,))}
    assert [spec.json for spec in adapter.signature.outputs] == [False, True]
    given = check(adapter, model, {"X": rows[::20]})
    expected = [
        {str(key): item for key, item in each.items()}
        for each in direct(model, {"X": rows[::20]})["output_probability"]
    ]
    assert given["output_probability"].tolist() == expected
    assert set(expected[0]) == ({"0", "1", "2"} if names is None else set(names))
    assert adapter.traits.batchable
    check_example(adapter, model)


@pytest.mark.parametrize("zipmap", [False, "columns"])
def test_classifier_without_maps(tmp_path: Path, iris: tuple[Any, Any], zipmap: Any) -> None:
    rows, labels = iris
    model = to_onnx(LogisticRegression(max_iter=300).fit(rows, labels), rows[:1], options={"zipmap": zipmap})
    adapter = serve(tmp_path, model)
    expected = {"label": ("INT64", (-1,)), "probabilities": ("FP32", (-1, 3))}
    columns = {"output_label": ("INT64", (-1,)), **{f"i{label}": ("FP32", (-1,)) for label in range(3)}}
    assert outputs_of(adapter) == (columns if zipmap else expected)
    for count in (1, 2, 150):
        check(adapter, model, {"X": rows[:count]})
    check_example(adapter, model)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {"colour": ["r", "g", "b"] * 10, "form": ["x", "y"] * 15, "width": np.arange(30.0), "code": [5, 6, 7] * 10}
    )


@pytest.mark.parametrize(("unknown", "refused"), [("error", True), ("ignore", False)])
def test_one_hot_pipeline_of_several_inputs(tmp_path: Path, table: pd.DataFrame, unknown: str, refused: bool) -> None:
    """Its example names categories that the encoders know: with "error" any other value fails."""
    encoder = [
        ("texts", OneHotEncoder(handle_unknown=unknown), ["form", "colour"]),
        ("codes", OneHotEncoder(handle_unknown=unknown), ["code"]),
        ("numbers", "passthrough", ["width"]),
    ]
    fitted = make_pipeline(ColumnTransformer(encoder), LogisticRegression(max_iter=300)).fit(table, np.arange(30) % 2)
    kinds = {"colour": StringTensorType, "form": StringTensorType, "width": FloatTensorType, "code": Int64TensorType}
    model = to_onnx(fitted, initial_types=[(name, kind([None, 1])) for name, kind in kinds.items()])
    adapter = serve(tmp_path, model)
    assert inputs_of(adapter) == {
        "colour": ("BYTES", (-1, 1)),
        "form": ("BYTES", (-1, 1)),
        "width": ("FP32", (-1, 1)),
        "code": ("INT64", (-1, 1)),
    }
    assert adapter.traits.batchable
    check_example(adapter, model)
    assert adapter.example()["colour"].tolist() == [["b"], ["g"]]
    assert adapter.example()["code"].tolist() == [[5], [6]]
    inputs = {
        "colour": table[["colour"]].to_numpy(object),
        "form": table[["form"]].to_numpy(object),
        "width": table[["width"]].to_numpy(np.float32),
        "code": table[["code"]].to_numpy(np.int64),
    }
    check(adapter, model, inputs)
    inputs["colour"][3, 0] = "ultraviolet"
    if refused:
        with pytest.raises(InvalidInput, match="Unknown Category"):
            adapter.predict(inputs, {})
    else:
        check(adapter, model, inputs)


@pytest.mark.parametrize(("encoder", "width"), [(OneHotEncoder, 2), (OneHotEncoder, None), (OrdinalEncoder, 2)])
def test_matrix_of_texts(tmp_path: Path, table: pd.DataFrame, encoder: Any, width: int | None) -> None:
    texts = table[["colour", "form"]].to_numpy(object)
    fitted = make_pipeline(encoder(), LogisticRegression()).fit(texts, np.arange(30) % 2)
    model = to_onnx(fitted, initial_types=[("S", StringTensorType([None, width]))], options={"zipmap": False})
    adapter = serve(tmp_path, model)
    assert inputs_of(adapter) == {"S": ("BYTES", (-1, width or -1))}
    assert adapter.example()["S"].tolist() == [["b", "x"], ["g", "y"]]
    check_example(adapter, model)
    check(adapter, model, {"S": texts})


# --- graphs of every kind --------------------------------------------------------------------------------------------


def convolution(size: int | str = "H", batch: int | str = "N") -> onnx.ModelProto:
    """A small image classifier: 3 x 3 convolution after a 7 x 7 one with stride 2, pooling, softmax."""
    chance = np.random.default_rng(3)
    weights = [
        constant(chance.normal(size=shape).astype(np.float32), name)
        for name, shape in {"a": (4, 3, 7, 7), "b": (5, 4, 3, 3), "c": (5, 6)}.items()
    ]
    nodes = [
        node("Conv", ["image", "a"], ["1"], strides=[2, 2]),
        node("Relu", ["1"], ["2"]),
        node("Conv", ["2", "b"], ["3"]),
        node("GlobalAveragePool", ["3"], ["4"]),
        node("Flatten", ["4"], ["5"]),
        node("MatMul", ["5", "c"], ["6"]),
        node("Softmax", ["6"], ["classes"]),
    ]
    image = value("image", FLOAT, [batch, 3, size, size if isinstance(size, int) else "W"])
    return graph(nodes, [image], [value("classes", FLOAT, [batch, 6])], weights)


def test_convolution_with_free_image_size(tmp_path: Path) -> None:
    model = convolution()
    adapter = serve(tmp_path, model)
    assert inputs_of(adapter) == {"image": ("FP32", (-1, 3, -1, -1))}
    assert outputs_of(adapter) == {"classes": ("FP32", (-1, 6))}
    assert adapter.example()["image"].shape == (2, 3, 11, 11)  # the smallest that runs
    check_example(adapter, model)
    check(adapter, model, {"image": np.random.default_rng(0).normal(size=(3, 3, 24, 31)).astype(np.float32)})


def test_fixed_batch_of_one_is_run_row_by_row(tmp_path: Path) -> None:
    model = convolution(16, batch=1)
    adapter = serve(tmp_path, model)
    assert inputs_of(adapter) == {"image": ("FP32", (-1, 3, 16, 16))}
    assert outputs_of(adapter) == {"classes": ("FP32", (-1, 6))}
    assert (adapter.signature.batched, adapter.traits.batchable) == (True, False)
    assert OnnxAdapter.traits.batchable
    images = np.random.default_rng(0).normal(size=(5, 3, 16, 16)).astype(np.float32)
    given = adapter.predict({"image": images}, {})["classes"]
    rows = [direct(model, {"image": images[row : row + 1]})["classes"] for row in range(5)]
    assert same(given, np.concatenate(rows))
    check_example(adapter, model)


def test_a_promised_batch_that_fails_is_run_row_by_row(tmp_path: Path) -> None:
    """Exporters declare any number of rows and then reshape to one."""
    model = graph(
        [node("Reshape", ["x", "shape"], ["y"])],
        [value("x", FLOAT, ["N", 6])],
        [value("y", FLOAT, ["N", 2, 3])],
        [constant(np.array([1, 2, 3]), "shape")],
    )
    adapter = serve(tmp_path, model)
    assert (adapter.signature.batched, adapter.traits.batchable) == (True, False)
    rows = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert same(adapter.predict({"x": rows}, {})["y"], rows.reshape(4, 2, 3))


def test_rows_of_different_shapes_cannot_be_joined(tmp_path: Path) -> None:
    model = graph(
        [node("NonZero", ["x"], ["found"]), node("Unsqueeze", ["found", "axis"], ["y"])],
        [value("x", FLOAT, [1, 3])],
        [value("y", INT64, [1, 2, None])],
        [constant(np.array([0]), "axis")],
    )
    adapter = serve(tmp_path, model)
    assert outputs_of(adapter) == {"y": ("INT64", (-1, 2, -1))}
    check(adapter, model, {"x": np.ones((1, 3), np.float32)})
    with pytest.raises(InvalidInput, match="'y' has another shape for every instance"):
        adapter.predict({"x": np.array([[1, 0, 0], [1, 1, 0]], np.float32)}, {})


@pytest.mark.parametrize("dims", [[3, 2], [2], []])
def test_fixed_dimensions_are_no_batch(tmp_path: Path, dims: list[int]) -> None:
    model = identity(FLOAT, dims)
    adapter = serve(tmp_path, model)
    assert inputs_of(adapter) == {"x": ("FP32", tuple(dims))}
    assert (adapter.signature.batched, adapter.traits.batchable) == (False, False)
    check(adapter, model, adapter.example())


def test_a_scalar_beside_rows_means_no_batch(tmp_path: Path) -> None:
    model = graph(
        [node("Mul", ["x", "rate"], ["y"])],
        [value("x", FLOAT, ["N", "T"]), value("rate", FLOAT, [])],
        [value("y", FLOAT, ["N", "T"])],
    )
    adapter = serve(tmp_path, model)
    assert inputs_of(adapter) == {"x": ("FP32", (-1, -1)), "rate": ("FP32", ())}
    assert not adapter.signature.batched
    check(adapter, model, {"x": np.ones((2, 3), np.float32), "rate": np.array(0.3, np.float32)})
    check(adapter, model, adapter.example())


def test_a_graph_without_inputs(tmp_path: Path) -> None:
    model = graph([node("Constant", [], ["y"], value_float=2.5)], [], [value("y", FLOAT, [])])
    adapter = serve(tmp_path, model)
    assert (adapter.signature.inputs, adapter.signature.batched) == ((), False)
    check(adapter, model, {})


def embedding(batches: tuple[Any, Any] = ("batch", "batch"), out: Any = "batch") -> onnx.ModelProto:
    """Token ids and a mask to the mean of their vectors: 10 vectors of 3."""
    vectors = np.random.default_rng(5).normal(size=(10, 3)).astype(np.float32)
    nodes = [
        node("Gather", ["vectors", "input_ids"], ["1"]),
        node("Cast", ["attention_mask"], ["2"], to=FLOAT),
        node("Unsqueeze", ["2", "last"], ["3"]),
        node("Mul", ["1", "3"], ["4"]),
        node("ReduceSum", ["4", "one"], ["5"], keepdims=0),
        node("ReduceSum", ["3", "one"], ["6"], keepdims=0),
        node("Div", ["5", "6"], ["mean"]),
    ]
    inputs = [value("input_ids", INT64, [batches[0], "seq"]), value("attention_mask", INT64, [batches[1], "seq"])]
    fixed = [constant(vectors, "vectors"), constant(np.array([-1]), "last"), constant(np.array([1]), "one")]
    return graph(nodes, inputs, [value("mean", FLOAT, [out, 3])], fixed)


@pytest.mark.parametrize(
    ("batches", "out"), [(("batch", "batch"), "batch"), (("unk__1", "unk__2"), "unk__3"), ((None, None), None)]
)
def test_tokens_and_mask(tmp_path: Path, batches: tuple[Any, Any], out: Any) -> None:
    """Converters give every batch dimension a symbol of its own, or none: running the graph tells that it is one."""
    model = embedding(batches, out)
    adapter = serve(tmp_path, model)
    assert inputs_of(adapter) == {"input_ids": ("INT64", (-1, -1)), "attention_mask": ("INT64", (-1, -1))}
    assert outputs_of(adapter) == {"mean": ("FP32", (-1, 3))}
    assert (adapter.signature.batched, adapter.traits.batchable) == (True, True)
    check_example(adapter, model)
    assert np.isfinite(adapter.predict(adapter.example(), {})["mean"]).all()
    tokens = np.random.default_rng(1).integers(0, 10, (4, 7))
    check(adapter, model, {"input_ids": tokens, "attention_mask": np.tril(np.ones((4, 7), np.int64))})


@pytest.mark.parametrize("dims", [(["N", 4], ["M", 4]), ([None, 4], [None, 4])])
def test_inputs_with_rows_of_their_own_are_no_batch(tmp_path: Path, dims: tuple[Any, Any]) -> None:
    model = graph(
        [node("Transpose", ["b"], ["1"]), node("MatMul", ["a", "1"], ["y"])],
        [value("a", FLOAT, dims[0]), value("b", FLOAT, dims[1])],
        [value("y", FLOAT, [dims[0][0], dims[1][0]])],
    )
    adapter = serve(tmp_path, model)
    assert (adapter.signature.batched, adapter.traits.batchable) == (False, False)
    check(adapter, model, {"a": np.ones((2, 4), np.float32), "b": np.ones((5, 4), np.float32)})


def test_an_unused_input_does_not_hide_the_batch(tmp_path: Path) -> None:
    model = embedding(("a", "b"))
    model.graph.input.append(value("token_type_ids", INT64, ["c", "seq"]))
    adapter = serve(tmp_path, model)
    assert (adapter.signature.batched, len(adapter.signature.inputs)) == (True, 3)


def test_an_output_without_rows_means_no_batch(tmp_path: Path) -> None:
    model = graph(
        [node("ReduceMean", ["x"], ["mean"], axes=[0]), node("Relu", ["x"], ["relu"])],
        [value("x", FLOAT, ["N", 3])],
        [value("mean", FLOAT, [None, 3]), value("relu", FLOAT, ["N", 3])],
    )
    adapter = serve(tmp_path, model)
    assert not adapter.signature.batched
    check(adapter, model, {"x": np.arange(12, dtype=np.float32).reshape(4, 3)})


def test_two_columns_are_not_taken_for_two_rows(tmp_path: Path) -> None:
    model = graph([node("Transpose", ["x"], ["y"])], [value("x", FLOAT, [None, 2])], [value("y", FLOAT, [None, None])])
    adapter = serve(tmp_path, model)
    assert not adapter.signature.batched
    check(adapter, model, {"x": np.ones((3, 2), np.float32)})


def reshaped(rows: int | str, target: list[int], declared: list[Any]) -> onnx.ModelProto:
    """x [rows, 3] in the shape `target`, which nothing knows before the graph runs."""
    nodes = [
        node("Cast", ["x"], ["1"], to=INT64),
        node("ReduceSum", ["1"], ["2"], keepdims=0),
        node("Mul", ["2", "zero"], ["3"]),
        node("Add", ["3", "shape"], ["4"]),
        node("Reshape", ["x", "4"], ["y"]),
    ]
    fixed = [constant(np.array(target), "shape"), constant(np.array([0]), "zero")]
    return graph(nodes, [value("x", FLOAT, [rows, 3])], [value("y", FLOAT, declared)], fixed)


def test_an_output_that_is_declared_wrongly(tmp_path: Path) -> None:
    """Exporters write the sizes that they traced with; ONNX Runtime itself only warns."""
    model = reshaped("N", [-1, 3, 1], [1, 8, 1])
    adapter = serve(tmp_path, model)
    assert outputs_of(adapter) == {"y": ("FP32", (-1, -1, 1))}
    assert adapter.traits.batchable
    check(adapter, model, {"x": np.ones((4, 3), np.float32)})


def test_several_outputs_of_every_rank(tmp_path: Path) -> None:
    model = graph(
        [
            node("Softmax", ["x"], ["softmax"]),
            node("ArgMax", ["x"], ["class"], axis=1, keepdims=0),
            node("Greater", ["x", "zero"], ["positive"]),
            node("Unsqueeze", ["x", "last"], ["deep"]),
        ],
        [value("x", FLOAT, ["N", 5])],
        [
            value("softmax", FLOAT, ["N", 5]),
            value("class", INT64, ["N"]),
            value("positive", TensorProto.BOOL, ["N", 5]),
            helper.make_empty_tensor_value_info("deep"),
        ],
        [constant(np.zeros(1, np.float32), "zero"), constant(np.array([2]), "last")],
    )
    adapter = serve(tmp_path, model)
    assert outputs_of(adapter) == {
        "softmax": ("FP32", (-1, 5)),
        "class": ("INT64", (-1,)),
        "positive": ("BOOL", (-1, 5)),
        "deep": ("FP32", (-1, 5, 1)),
    }
    rows = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    rows[2, 1], rows[3, 3] = np.nan, np.inf
    check(adapter, model, {"x": rows})


KINDS = {
    "BOOL": TensorProto.BOOL,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


@pytest.mark.parametrize("datatype", KINDS)
def test_every_datatype(tmp_path: Path, datatype: str) -> None:
    model = identity(KINDS[datatype], ["N", 3])
    adapter = serve(tmp_path, model)
    assert inputs_of(adapter) == {"x": (datatype, (-1, 3))}
    assert outputs_of(adapter) == {"y": (datatype, (-1, 3))}
    check(adapter, model, adapter.example())
    dtype = adapter.signature.inputs[0].dtype
    if datatype == "BYTES":
        rows = np.array([["", "ü\0€", "x" * 10_000]], dtype)
    elif dtype.kind == "f":
        rows = np.array([[np.finfo(dtype).max, np.nan, -0.0], [np.finfo(dtype).tiny, -np.inf, 0.1]], dtype)
    else:
        rows = np.array([[0, 1, 1 if datatype == "BOOL" else np.iinfo(dtype).max]], dtype)
    check(adapter, model, {"x": rows})


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT8E4M3FN"])
def test_a_type_that_v2_lacks_is_refused(tmp_path: Path, kind: str) -> None:
    model = graph(
        [node("Cast", ["x"], ["y"], to=FLOAT)],
        [value("x", getattr(TensorProto, kind), ["N"])],
        [value("y", FLOAT, ["N"])],
        domains=(("", 21),),
    )
    with pytest.raises(LoadError, match=rf"input 'x' has the type tensor\({kind.lower()}\)"):
        serve(tmp_path, model)


def test_an_input_that_may_be_absent_is_refused(tmp_path: Path) -> None:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, ["N"]))
    model = graph(
        [node("OptionalGetElement", ["x"], ["y"])], [helper.make_value_info("x", kind)], [value("y", FLOAT, ["N"])]
    )
    with pytest.raises(LoadError, match="input 'x' has the type optional"):
        serve(tmp_path, model)


def test_an_input_without_a_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="input 'x' declares no shape"):
        serve(tmp_path, identity(FLOAT, None))


def test_a_sequence_of_rows(tmp_path: Path) -> None:
    model = graph(
        [node("SplitToSequence", ["x"], ["y"], axis=0, keepdims=0)],
        [value("x", FLOAT, ["N", 2])],
        [helper.make_tensor_sequence_value_info("y", FLOAT, None)],
    )
    adapter = serve(tmp_path, model)
    assert outputs_of(adapter) == {"y": ("BYTES", (-1,))}
    assert (adapter.signature.batched, adapter.signature.outputs[0].json) == (True, True)
    given = adapter.predict({"x": np.array([[1, 2], [0.1, 4]], np.float32)}, {})["y"]
    assert given.tolist() == [[1.0, 2.0], [float(np.float32(0.1)), 4.0]]
    check_example(adapter, model)


def test_a_sequence_that_is_not_rows(tmp_path: Path) -> None:
    model = graph(
        [node("SplitToSequence", ["x"], ["y"], axis=1)],
        [value("x", FLOAT, ["N", 3])],
        [helper.make_tensor_sequence_value_info("y", FLOAT, None)],
    )
    adapter = serve(tmp_path, model)
    assert not adapter.signature.batched
    assert adapter.predict({"x": np.array([[1, 2, 3]], np.float32)}, {})["y"].tolist() == [[[1.0]], [[2.0]], [[3.0]]]


# --- inputs with defaults --------------------------------------------------------------------------------------------


def with_default(dims: list[Any], default: Any) -> onnx.ModelProto:
    return graph(
        [node("Add", ["x", "bias"], ["y"])],
        [value("x", FLOAT, [dims[0], 2]), value("bias", FLOAT, dims[1:])],
        [value("y", FLOAT, [dims[0], 2])],
        [constant(np.array(default, np.float32), "bias")],
    )


def test_an_input_with_a_default_may_be_left_out(tmp_path: Path) -> None:
    model = with_default([3], 0.5)
    adapter = serve(tmp_path, model)
    assert [(spec.name, spec.shape, spec.optional) for spec in adapter.signature.inputs] == [
        ("x", (3, 2), False),
        ("bias", (), True),
    ]
    assert list(adapter.example()) == ["x"]
    rows = np.ones((3, 2), np.float32)
    check(adapter, model, {"x": rows})
    check(adapter, model, {"x": rows, "bias": np.array(7, np.float32)})


def test_weights_that_may_be_replaced_do_not_forbid_batches(tmp_path: Path) -> None:
    """Old exporters list every weight as an input, with its value as the default."""
    model = with_default(["N", 2], [0.5, 1.5])
    adapter = serve(tmp_path, model)
    assert inputs_of(adapter) == {"x": ("FP32", (-1, 2))}
    assert adapter.traits.batchable
    check(adapter, model, {"x": np.ones((3, 2), np.float32)})


# --- errors ----------------------------------------------------------------------------------------------------------


def gather() -> onnx.ModelProto:
    return graph(
        [node("Gather", ["table", "x"], ["y"])],
        [value("x", INT64, ["N", 2])],
        [value("y", FLOAT, ["N", 2])],
        [constant(np.arange(4, dtype=np.float32), "table")],
    )


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        (linear(4, None), {"x": np.ones((2, 3), np.float32)}, "MatMul: MatMul dimension mismatch"),
        (convolution(), {"image": np.ones((1, 3, 3, 3), np.float32)}, "Conv: Invalid input shape"),
        (gather(), {"x": np.array([[0, 9]])}, "Gather: indices element out of data bounds, idx=9"),
        (identity(STRING, ["N"]), {"x": np.array(["\ud800"], object)}, "not valid Unicode"),
    ],
)
def test_what_does_not_fit_the_graph_is_the_clients_fault(
    tmp_path: Path, model: onnx.ModelProto, inputs: Tensors, words: str
) -> None:
    adapter = serve(tmp_path, model)
    with pytest.raises(InvalidInput) as caught:
        adapter.predict(inputs, {})
    assert words in str(caught.value)
    assert not [noise for noise in ("ONNXRuntimeError", ".cc", ".h:", "onnxruntime::") if noise in str(caught.value)]


@pytest.mark.parametrize("rows", [2, "N"])
def test_the_models_own_failure_is_not_the_clients(tmp_path: Path, rows: int | str) -> None:
    """No size and no index is the client's to choose: the graph itself cannot be run with its inputs."""
    model = reshaped(rows, [-1, 5045], [None, None])
    adapter = serve(tmp_path, model)
    with pytest.raises(RuntimeError, match="Reshape: The input tensor cannot be reshaped to the requested shape"):
        adapter.predict({"x": np.ones((2, 3), np.float32)}, {})


def test_a_graph_that_never_runs_is_served_as_declared(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    adapter = serve(tmp_path, linear(997, None))
    assert inputs_of(adapter) == {"x": ("FP32", (-1, -1))}
    assert "example may not fit" in caplog.text
    assert adapter.example()["x"].shape == (2, 1)
    rows = np.random.default_rng(0).normal(size=(3, 997)).astype(np.float32)
    check(adapter, linear(997, None), {"x": rows})


def relu(operator: str = "Relu", source: str = "x", **more: Any) -> onnx.ModelProto:
    domain = "my.ops" if operator == "Mystery" else ""
    relu = node(operator, [source], ["y"], domain=domain)
    return graph([relu], [value("x", FLOAT, ["N"])], [value("y", FLOAT, ["N"])], **more)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (relu("Mystery", domains=(("", 17), ("my.ops", 1))), "my.ops:Mystery"),
        (relu(domains=(("", 99),)), "Opset 99"),
        (relu(source="nowhere"), "nowhere"),
        (identity(FLOAT, [1 << 40, 3]), "elements"),
    ],
)
def test_a_graph_that_cannot_be_served_says_why(tmp_path: Path, model: onnx.ModelProto, words: str) -> None:
    with pytest.raises(LoadError, match=words) as caught:
        serve(tmp_path, model)
    assert not [noise for noise in ("ONNXRuntimeError", ".cc", ".h:", str(tmp_path)) if noise in str(caught.value)]


# --- running ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "native"), [("all", "ENABLE_ALL"), ("basic", "ENABLE_BASIC"), ("disabled", "DISABLE_ALL")]
)
def test_graph_optimization(tmp_path: Path, level: str, native: str) -> None:
    model = convolution(16, batch=1)
    adapter = serve(tmp_path, model, graph_optimization=level)
    image = np.random.default_rng(0).normal(size=(2, 3, 16, 16)).astype(np.float32)
    rows = [direct(model, {"image": image[row : row + 1]}, native)["classes"] for row in range(2)]
    assert same(adapter.predict({"image": image}, {})["classes"], np.concatenate(rows))
    applied = str(adapter.session.get_session_options().graph_optimization_level)
    assert native in applied


def test_one_thread_on_the_cpu_only(tmp_path: Path) -> None:
    before = threading.active_count(), len(list(Path("/proc/self/task").iterdir()))
    adapter = serve(tmp_path, linear())
    options = adapter.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert adapter.session.get_providers() == ["CPUExecutionProvider"]
    assert (threading.active_count(), len(list(Path("/proc/self/task").iterdir()))) <= before


def test_calls_from_many_threads(tmp_path: Path) -> None:
    model = convolution(16)
    adapter = serve(tmp_path, model)
    images = [np.random.default_rng(seed).normal(size=(2, 3, 16, 16)).astype(np.float32) for seed in range(8)]
    expected = [direct(model, {"image": image})["classes"] for image in images]
    wrong: list[int] = []

    def call(index: int) -> None:
        for _ in range(20):
            if not same(adapter.predict({"image": images[index]}, {})["classes"], expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=call, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_search_for_a_size_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Tensors] = []
    monkeypatch.setattr("adapters.shared.trial_runs.TrialRuns.attempt", lambda _, inputs: tried.append(inputs))
    serve(tmp_path, convolution())
    assert len(tried) > len(SIZES)  # none of them fits
    tried.clear()
    monkeypatch.setattr("adapters.shared.trial_runs.MAX_SECONDS", -1.0)
    adapter = serve(tmp_path, convolution())
    assert adapter.signature.batched
    assert len(tried) <= 3  # one for each number of rows


# --- what a request may leave open -----------------------------------------------------------------------------------


def over_v1(adapter: OnnxAdapter, instances: Any) -> Any:
    call = v1.decode(orjson.dumps({"instances": instances}), adapter.signature)
    return orjson.loads(v1.encode(adapter.predict(call.inputs, call.parameters), adapter.signature, call))[
        "predictions"
    ]


def over_v2(adapter: OnnxAdapter, shape: list[int], data: list[Any], datatype: str = "FP32") -> Any:
    tensor = {"name": "X", "shape": shape, "datatype": datatype, "data": data}
    call = v2.decode(orjson.dumps({"inputs": [tensor]}), None, adapter.signature)
    answer = orjson.loads(v2.encode(adapter.predict(call.inputs, call.parameters), call, "m")[0])
    return [output["data"] for output in answer["outputs"]]


def test_a_missing_value_is_null(tmp_path: Path) -> None:
    rows = np.array([[0.0, 1.0], [np.nan, 0.5], [2.0, np.nan], [3.0, 1.0]], np.float32)
    fitted = make_pipeline(SimpleImputer(), LogisticRegression()).fit(rows, [0, 1, 1, 0])
    model = to_onnx(fitted, initial_types=[("X", FloatTensorType([None, 2]))], options={"zipmap": False})
    adapter = serve(tmp_path, model)
    wanted = direct(model, {"X": rows})
    nulls = [[None if value != value else value for value in row] for row in rows.tolist()]
    given = over_v1(adapter, nulls)
    assert [row["probabilities"] for row in given] == wanted["probabilities"].astype(float).tolist()
    labels, probabilities = over_v2(adapter, [4, 2], [value for row in nulls for value in row])
    assert labels == wanted["label"].tolist()
    assert probabilities == wanted["probabilities"].astype(float).ravel().tolist()


def test_one_tensor_a_column_takes_values_rows_and_frames(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": [20.0, 30, 40] * 10, "sex": ["m", "f", "m"] * 10})
    encode = ColumnTransformer([("sex", OneHotEncoder(), ["sex"])], remainder="passthrough")
    fitted = make_pipeline(encode, LogisticRegression()).fit(frame, [0, 1, 1] * 10)
    types = [("age", FloatTensorType([None, 1])), ("sex", StringTensorType([None, 1]))]
    model = to_onnx(fitted, initial_types=types, options={"zipmap": False})
    adapter = serve(tmp_path, model)
    inputs = {"age": np.array([[20], [30]], np.float32), "sex": np.array([["m"], ["f"]], np.object_)}
    wanted = direct(model, inputs)["label"].tolist()
    for instances in (
        [{"age": [20], "sex": ["m"]}, {"age": [30], "sex": ["f"]}],
        [{"age": 20, "sex": "m"}, {"age": 30, "sex": "f"}],
        [{"age": {"0": 20, "1": 30}, "sex": {"0": "m", "1": "f"}}],
        [[20, "m"], [30, "f"]],
    ):
        assert [row["label"] for row in over_v1(adapter, instances)] == wanted


def test_a_column_over_v2_is_a_vector_too(tmp_path: Path) -> None:
    adapter = serve(tmp_path, identity(FLOAT, ["N", 1]))
    tensor = {"name": "x", "shape": [3], "datatype": "FP32", "data": [1, 2, 3]}
    call = v2.decode(orjson.dumps({"inputs": [tensor]}), None, adapter.signature)
    assert call.inputs["x"].tolist() == [[1.0], [2.0], [3.0]]


def test_a_fixed_batch_is_as_many_instances(tmp_path: Path) -> None:
    adapter = serve(tmp_path, identity(FLOAT, [4, 2]))
    rows = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]
    assert not adapter.signature.batched
    assert over_v1(adapter, rows) == rows
    assert over_v1(adapter, [rows]) == [rows]
    with pytest.raises(InvalidInput, match="holds 3 instances, but this model takes 4 rows at a time: send 4"):
        over_v1(adapter, rows[:3])


def test_an_attention_mask_of_infinities_is_taken(tmp_path: Path) -> None:
    adapter = serve(tmp_path, identity(FLOAT, ["N", 2]))
    call = v1.decode(b'{"instances": [[0, -Infinity]]}', adapter.signature)
    assert call.inputs["x"].tolist() == [[0.0, -np.inf]]


def test_an_adapter_beside_the_graph_is_named(tmp_path: Path) -> None:
    directory = write(tmp_path, linear())
    (tmp_path / "fine_tuned.onnx_adapter").write_bytes(b"TORT")
    claim = OnnxAdapter.match(ModelDir.of(tmp_path))
    assert claim is not None
    assert "fine_tuned.onnx_adapter is a LoRA adapter of ONNX Runtime" in claim.problem
    assert directory.has("model.onnx")


def test_a_tokenizer_that_is_not_used_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = graph(
        [node("Identity", ["input_ids"], ["y"])],
        [value("input_ids", INT64, ["n", "m"])],
        [value("y", INT64, ["n", "m"])],
    )
    serve(tmp_path / "plain", model)
    assert not caplog.records
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "tokenizer.json").write_text("{}")
    serve(tmp_path / "export", model)
    (record,) = caplog.records
    assert (
        record.getMessage() == "model.onnx takes token ids: the tokenizer.json beside it is not used, clients tokenize"
    )


def test_calls_whose_sizes_a_request_chooses_stay_off_the_event_loop(tmp_path: Path) -> None:
    """What short ones took tells nothing of a long one with as many rows."""
    assert serve(tmp_path / "a", linear()).traits.steady
    free = graph([node("Abs", ["x"], ["y"])], [value("x", FLOAT, ["N", "M"])], [value("y", FLOAT, ["N", "M"])])
    assert not serve(tmp_path / "b", free).traits.steady
