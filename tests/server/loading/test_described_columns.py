"""A model that MLflow describes is asked as MLflow lets it be asked, whoever serves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import ModelDir, Signature, TensorSpec
from server.codec import grpc_messages, v1, v2
from server.codec.fast import json_rows
from server.errors import InvalidInput
from server.loading.described_columns import as_described

MATRIX = Signature((TensorSpec("input-0", "FP64", (-1, 2), nullable=True),), (), columns=("age", "size"), any_name=True)
TABLE = Signature((TensorSpec("age", "FP64", (-1,)), TensorSpec("city", "BYTES", (-1,))), (), table=True)
AGE, SIZE = {"type": "long", "name": "age"}, {"type": "double", "name": "size"}
CITY, MORE = {"type": "string", "name": "city"}, {"type": "double", "name": "more"}


def described(folder: Path, signature: Signature, *columns: dict[str, Any], below: str = "") -> Signature:
    (folder / below).mkdir(parents=True, exist_ok=True)
    text = f"flavors: {{sklearn: {{}}}}\nsignature:\n  inputs: {json.dumps(json.dumps(columns))}\n"
    (folder / "MLmodel").write_text(text)
    return as_described(signature, ModelDir.of(folder / below, folder.parent))


def asked(signature: Signature, *instances: Any) -> Any:
    return v1.decode(orjson.dumps({"instances": instances}), signature).inputs


def test_columns_that_the_signature_lacks_are_left_out(tmp_path: Path) -> None:
    matrix, table = described(tmp_path / "m", MATRIX, AGE, SIZE), described(tmp_path / "t", TABLE, AGE, CITY, MORE)
    row = {"more": "x", "size": 2.5, "age": 1}
    assert asked(matrix, row)["input-0"].tolist() == [[1.0, 2.5]]
    frame = {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}
    assert v1.decode(orjson.dumps(frame), matrix).inputs["input-0"].tolist() == [[1.0, 2.5]]
    assert list(asked(table, {"city": "Rome", "age": 1, "other": None})) == ["age", "city"]
    tensors = [{"name": name, "datatype": "FP64", "shape": [1], "data": [3]} for name in ("age", "size", "other")]
    sent = v2.decode(orjson.dumps({"inputs": tensors}), None, matrix)
    assert sent.inputs["input-0"].tolist() == [[3.0, 3.0]]
    with pytest.raises(InvalidInput, match=r"instances\[0\] lacks 'size' and has the unknown name 'sice'"):
        asked(matrix, {"age": 1, "sice": 2})


def test_a_column_of_whole_numbers_takes_no_others(tmp_path: Path) -> None:
    matrix, table = described(tmp_path / "m", MATRIX, AGE, SIZE), described(tmp_path / "t", TABLE, AGE, CITY)
    assert asked(matrix, {"age": 3.0, "size": 1.5}, {"age": None, "size": 1.5})["input-0"][0].tolist() == [3.0, 1.5]
    wrong = r"age\[0\] is 1.5, and the column holds whole numbers"
    with pytest.raises(InvalidInput, match=wrong):
        asked(matrix, {"age": 1.5, "size": 1.5})
    with pytest.raises(InvalidInput, match=wrong):
        asked(table, {"age": 1.5, "city": "Rome"})
    with pytest.raises(InvalidInput, match=r"instances\[1\]\[0\] is 1.5, and"):
        asked(matrix, [1, 1.5], [1.5, 1])


def test_no_protocol_and_no_short_way_is_left_out(tmp_path: Path) -> None:
    matrix = described(tmp_path / "m", MATRIX, AGE, SIZE)
    assert json_rows.matrix_of(MATRIX) is not None
    assert json_rows.matrix_of(matrix) is json_rows.numbers_of(matrix) is None
    body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1.5, 1]}]}
    with pytest.raises(InvalidInput, match="holds whole numbers"):
        v2.decode(orjson.dumps(body), None, matrix)
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP64", shape=[1, 2])
    message = pb.ModelInferRequest(inputs=[tensor], raw_input_contents=[np.array([1.5, 1.0]).tobytes()])
    with pytest.raises(InvalidInput, match="holds whole numbers"):
        grpc_messages.decode(message, matrix)


def test_the_description_may_stand_above_and_nothing_else_changes_a_signature(tmp_path: Path) -> None:
    assert described(tmp_path / "a", MATRIX, AGE, SIZE, below="data/model").ignores_unknown
    assert described(tmp_path / "b", MATRIX, AGE, CITY) is MATRIX  # of other columns
    assert described(tmp_path / "c", MATRIX, {"type": "tensor", "tensor-spec": {}}) is MATRIX
    assert described(tmp_path / "d", MATRIX, {"type": "long"}, {"type": "double"}) is MATRIX
    (tmp_path / "e").mkdir()
    assert as_described(MATRIX, ModelDir.of(tmp_path / "e", tmp_path)) is MATRIX
    (tmp_path / "e" / "MLmodel").write_text("{")
    assert as_described(MATRIX, ModelDir.of(tmp_path / "e", tmp_path)) is MATRIX
    (tmp_path / "MLmodel").write_bytes((tmp_path / "a" / "MLmodel").read_bytes())
    assert as_described(MATRIX, ModelDir.of(tmp_path / "e", tmp_path / "e")) is MATRIX  # out of the models directory
