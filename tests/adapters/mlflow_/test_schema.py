"""MLflow's signatures as ours."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.formats.mlmodel import MLmodel, UnreadableDescription
from adapters.mlflow_.schema import Schema, schema_of


def schema(inputs: Any = None, outputs: Any = None, params: Any = ()) -> Schema:
    return schema_of(MLmodel({}, inputs, outputs, list(params)))


def column(kind: str, name: str | None = "a", **more: Any) -> dict[str, Any]:
    return {"type": kind, **({"name": name} if name else {}), **more}


def tensor(dtype: str, *shape: int, **more: Any) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}, **more}


@pytest.mark.parametrize(
    ("kind", "datatype", "nullable"),
    [
        ("boolean", "BOOL", False),
        ("integer", "INT32", False),
        ("long", "INT64", False),
        ("float", "FP32", True),
        ("double", "FP64", True),
        ("string", "BYTES", True),
        ("datetime", "BYTES", True),
        ("binary", "BYTES", True),
    ],
)
def test_a_column_of_each_type(kind: str, datatype: str, nullable: bool) -> None:
    found = schema([column(kind)])
    (spec,) = found.signature.inputs
    assert (found.form, spec.name, spec.datatype, spec.nullable) == ("frame", "a", datatype, nullable)
    assert (spec.binary, found.dates) == (kind == "binary", frozenset("a" if kind == "datetime" else ""))
    assert found.signature.table


@pytest.mark.parametrize("kind", ["array", "object", "map", "any", "sparkml_vector"])
def test_values_made_of_others_travel_as_json(kind: str) -> None:
    assert schema([column(kind)]).signature.inputs[0].json


@pytest.mark.parametrize("more", [{"required": False}, {"optional": True}])
def test_a_column_may_be_left_out(more: Any) -> None:
    assert schema([column("long", **more)]).signature.inputs[0].optional
    assert not schema([column("long", required=True)]).signature.inputs[0].optional


def test_columns_without_names_are_numbered() -> None:
    found = schema([column("long", None), column("double", None)])
    assert ([spec.name for spec in found.signature.inputs], found.named) == (["input-0", "input-1"], False)
    assert schema([column("long", None)]).signature.any_name


def test_tensors() -> None:
    found = schema([tensor("float32", -1, 3)], [tensor("int64", -1, name="y")])
    assert (found.form, found.signature.any_name, found.signature.keyed) == ("array", True, True)
    assert (found.signature.inputs[0].shape, found.signature.inputs[0].datatype) == ((-1, 3), "FP32")
    assert found.signature.outputs[0].name == "y"
    assert schema([tensor("float32", -1, name="x")]).form == "arrays"
    assert not schema([tensor("float32", 2, 3)]).signature.batched


def test_without_a_signature_it_takes_anything() -> None:
    found = schema()
    assert (found.form, found.signature.inputs[0].json, found.signature.outputs) == ("anything", True, ())


def test_parameters_that_a_request_can_carry_are_offered() -> None:
    params = [column("long", "n", default=3), column("long", "many", shape=[-1]), column("odd", "x"), {"type": "long"}]
    (offered,) = schema(params=params).signature.parameters
    assert (offered.name, offered.kind, offered.meaning) == ("n", int, "3 unless given")


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ([column("decimal")], "of the type 'decimal'"),
        ([{"name": "a"}], "of the type None"),
        ([{"type": "tensor", "name": "x"}], "'x' has no dtype and shape"),
        ([tensor("float32", True, name="x")], "'x' has no dtype and shape"),
        ([tensor("floot", -1, name="x")], "'x' is of an unknown dtype"),
    ],
)
def test_a_damaged_signature_is_named(inputs: Any, why: str) -> None:
    with pytest.raises(UnreadableDescription, match=why):
        schema(inputs)
