"""MLflow's data frames become V1's instances, or are refused by what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import Parameter, Signature, TensorSpec
from server.codec import v1
from server.codec.mlflow_frames import as_instances
from server.errors import InvalidInput

OUTPUT = (TensorSpec("y", "FP64", (-1,)),)
MATRIX = Signature((TensorSpec("x", "FP64", (-1, 2)),), OUTPUT)
NAMED = Signature((TensorSpec("x", "FP64", (-1, 2)),), OUTPUT, columns=("age", "size"))
TABLE = Signature(
    (TensorSpec("age", "FP64", (-1,)), TensorSpec("city", "BYTES", (-1,))),
    OUTPUT,
    table=True,
    parameters=(Parameter("method", str, ("predict", "leaf")),),
)
FRAME = {"index": [7], "columns": ["city", "age"], "data": [["Rome", 31]]}


@pytest.mark.parametrize("body", [{"dataframe_split": FRAME}, {"dataframe_records": [{"age": 31, "city": "Rome"}]}])
def test_a_frame_is_rows_by_name(body: dict[str, Any]) -> None:
    call = v1.decode({**body, "params": {"method": "leaf"}}, TABLE)
    assert {name: values.tolist() for name, values in call.inputs.items()} == {"age": [31], "city": ["Rome"]}
    assert call.parameters == {"method": "leaf"}


@pytest.mark.parametrize(
    ("signature", "frame", "rows"),
    [
        (NAMED, {"columns": ["size", "age"], "data": [[2, 1], [4, 3]]}, [[1, 2], [3, 4]]),
        (NAMED, {"data": [[1, 2]]}, [[1, 2]]),
        (MATRIX, {"columns": ["a", "b"], "data": [[1, 2]]}, [[1, 2]]),
        (NAMED, {"columns": [0, 1], "data": [[1, 2]]}, [[1, 2]]),
    ],
)
def test_columns_are_put_in_order_where_the_model_knows_their_names(
    signature: Signature, frame: Any, rows: list[list[int]]
) -> None:
    assert v1.decode({"dataframe_split": frame}, signature).inputs["x"].tolist() == rows


def test_another_body_stays_as_it_is() -> None:
    body = {"instances": [[1, 2]], "parameters": {}}
    assert as_instances(body, MATRIX) is body
    assert as_instances({"instances": [[1, 2]], "params": {}}, MATRIX) == body


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"dataframe_split": [[1]]}, 'dataframe_split must be an object with "columns" and "data"'),
        ({"dataframe_split": {**FRAME, "dtype": {}}}, "unknown name 'dtype'"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "each of them once"),
        ({"dataframe_split": {"columns": "a", "data": [[1]]}}, "must be a list of names"),
        ({"dataframe_split": {"columns": ["age"], "data": [[1, 2]]}}, r"data\[0\] holds 2 values, and there are 1 col"),
        ({"dataframe_split": {"columns": ["age"], "data": [1]}}, r"data\[0\] holds no list"),
        ({"dataframe_records": {"age": 1}}, "dataframe_records is an object"),
        ({"dataframe_records": []}, "is empty"),
        ({"dataframe_records": [{"age": 1}]}, "lacks 'city'"),
        ({"dataframe_split": FRAME, "instances": []}, "send dataframe_split or instances"),
        ({"dataframe_split": FRAME, "params": {}, "parameters": {}}, "params or parameters"),
        ({"dataframe_split": FRAME, "params": {"metod": 1}}, "did you mean 'method'"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        v1.decode(body, TABLE)
