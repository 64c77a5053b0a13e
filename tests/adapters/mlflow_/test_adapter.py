"""python_function: MLflow's signature is the model's, and answers are those of `mlflow.pyfunc` called directly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from adapters.base import InvalidInput, ModelDir, Parameter, TensorSpec
from adapters.mlflow_ import MlflowAdapter
from server.codec import v1, v2
from tests.adapters.mlflow_.models import Echo, Shop

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SHOP = pd.DataFrame({"price": [1.5, 20.0], "count": [2, 1], "city": ["Rome", "Oslo"]})


def saved(folder: Path, model: Any, signature: Any = None, **settings: Any) -> MlflowAdapter:
    import mlflow.pyfunc

    mlflow.pyfunc.save_model(
        folder / "model", python_model=model, signature=signature, pip_requirements=["pandas"], **settings
    )
    directory = ModelDir.of(folder / "model")
    claim = MlflowAdapter.match(directory)
    assert claim is not None
    assert (claim.problem, claim.delegate) == ("", None)
    return MlflowAdapter.load(directory, claim.file, {})


def ask(adapter: MlflowAdapter, instances: list[Any], **parameters: Any) -> Any:
    call = v1.decode(orjson.dumps({"instances": instances, "parameters": parameters}), adapter.signature)
    outputs = adapter.predict(call.inputs, call.parameters)
    return orjson.loads(v1.encode(outputs, adapter.signature))["predictions"]


def schema(*columns: dict[str, Any], outputs: Any = None, params: Any = None) -> Any:
    from mlflow.models import ModelSignature

    parts = {"inputs": list(columns), "outputs": outputs, "params": params}
    return ModelSignature.from_dict({name: json.dumps(part) if part else None for name, part in parts.items()})


@pytest.mark.slow
def test_parameters_of_the_signature_are_those_of_a_request(tmp_path: Path) -> None:
    from mlflow.models import infer_signature

    signature = infer_signature(SHOP, Shop().predict(None, SHOP), params={"factor": 2.0, "many": [1, 2]})
    adapter = saved(tmp_path, Shop(), signature, input_example=(SHOP, {"factor": 2.0, "many": [1, 2]}))
    assert adapter.signature.parameters == (Parameter("factor", float, meaning="2.0 unless given"),)
    rows = SHOP.to_dict("records")
    assert ask(adapter, rows) == [{"total": 6.0, "label": "ROME"}, {"total": 40.0, "label": "OSLO"}]
    assert ask(adapter, rows[:1], factor=10) == [{"total": 30.0, "label": "ROME"}]
    with pytest.raises(InvalidInput, match="factor"):
        ask(adapter, rows, factor="much")
    assert {name: values.tolist() for name, values in adapter.example().items()} == SHOP.to_dict("list")
    assert not adapter.traits.batchable


def test_columns_come_as_the_signature_says(tmp_path: Path) -> None:
    kinds = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
    columns = [{"type": kind, "name": kind, "required": True} for kind in kinds]
    nested = [
        {"type": "array", "items": {"type": "long"}, "name": "array", "required": True},
        {"type": "object", "properties": {"x": {"type": "double", "required": True}}, "name": "object"},
    ]
    adapter = saved(tmp_path, Echo(), schema(*columns, *nested, {"type": "double", "name": "more", "required": False}))
    specs = {spec.name: spec for spec in adapter.signature.inputs}
    assert [specs[kind].datatype for kind in kinds] == ["BOOL", "INT32", "INT64", "FP32", "FP64", *["BYTES"] * 3]
    assert specs["binary"].binary
    assert specs["array"].json
    assert specs["more"].optional
    row = {"boolean": True, "integer": 3, "long": 2**40, "float": 0.5, "double": 0.1, "string": "a",
           "binary": {"b64": "AAE="}, "datetime": "2024-05-06", "array": [1, 2], "object": {"x": 1.5}}  # fmt: skip
    (answer,) = ask(adapter, [row])
    assert answer["kinds"][:6] == ["bool", "int32", "int64", "float32", "float64", "object"]
    assert answer["kinds"][7].startswith("datetime64")
    assert {name: answer[name] for name in row if name not in ("binary", "datetime")} == {
        name: value for name, value in row.items() if name not in ("binary", "datetime")
    }
    assert answer["datetime"].startswith("2024-05-06")
    assert "more" not in answer
    assert ask(adapter, [{**row, "more": 2.5}])[0]["more"] == 2.5
    for name, value in {"integer": 2**40, "datetime": "never", "double": "a", "boolean": 2, "string": 3}.items():
        with pytest.raises(ValueError, match=name):
            ask(adapter, [{**row, name: value}])


class Months(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input["when"].dt.month.astype("float64")


def test_dates_with_a_time_and_without_and_columns_that_the_model_lacks(tmp_path: Path) -> None:
    adapter = saved(tmp_path, Months(), schema({"name": "when", "type": "datetime"}))
    rows = [{"when": "2024-04-01T00:00:00", "more": 1}, {"more": "x", "when": "2024-06-01"}]
    assert ask(adapter, rows) == [4.0, 6.0]
    with pytest.raises(InvalidInput, match="when holds what is no date: send ISO 8601, as in 2024"):
        ask(adapter, [{"when": "soon"}])
    with pytest.raises(InvalidInput, match="lacks 'when'"):
        ask(adapter, [{"whem": "2024-04-01"}])


def test_a_column_without_a_name(tmp_path: Path) -> None:
    from mlflow.types import ColSpec, DataType, Schema

    signature = mlflow.models.ModelSignature(Schema([ColSpec(DataType.string)]), Schema([ColSpec(DataType.string)]))
    adapter = saved(tmp_path, Upper(), signature)
    assert adapter.signature.inputs == (TensorSpec("input-0", "BYTES", (-1,), nullable=True),)
    assert ask(adapter, ["a", "b"]) == ["A", "B"]


class Upper(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input.iloc[:, 0].str.upper()


def tensor(dtype: str, *shape: int, **more: Any) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}, **more}


def test_a_tensor_and_tensors_by_name(tmp_path: Path) -> None:
    adapter = saved(tmp_path / "one", Echo(), schema(tensor("float32", -1, 2), outputs=[tensor("float32", -1, 2)]))
    assert adapter.signature.outputs == (TensorSpec("output-0", "FP32", (-1, 2), nullable=True),)
    assert ask(adapter, [[1, 2], [3, 4]]) == [[1, 2], [3, 4]]
    named = [tensor("int64", -1, name="a"), tensor("float64", -1, 3, name="b")]
    adapter = saved(tmp_path / "two", Echo(), schema(*named, outputs=named))
    assert ask(adapter, [{"a": 1, "b": [1, 2, 3]}]) == [{"a": 2, "b": [2, 4, 6]}]
    with pytest.raises(InvalidInput, match="b"):
        ask(adapter, [{"a": 1, "b": [1, 2]}])


def test_without_a_signature_it_takes_what_is_sent(tmp_path: Path) -> None:
    adapter = saved(tmp_path, Echo())
    assert ask(adapter, [[1.5, 2], [3, 4]]) == [[1.5, 2], [3, 4]]
    assert ask(adapter, ["a", "bc"]) == ["a", "bc"]
    assert ask(adapter, [{"a": 1, "b": "x"}]) == [{"kinds": ["int64", "object"], "a": 1, "b": "x"}]
    sent = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1.5, 2, 3, 4]}]}
    call = v2.decode(orjson.dumps(sent), None, adapter.signature)
    answer = adapter.predict(call.inputs, {})["output-0"]
    assert (answer.dtype, answer.tolist()) == (np.float64, [[1.5, 2], [3, 4]])


class Fails(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        raise RuntimeError("out of luck")


def test_the_models_own_failure_is_not_the_clients(tmp_path: Path) -> None:
    adapter = saved(tmp_path, Fails())
    with pytest.raises(RuntimeError, match="out of luck"):
        ask(adapter, [[1]])
