"""Instances that are data frames: what pandas makes of them, and what it would not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from adapters.base import Signature, TensorSpec
from server.codec import v1
from server.codec.data_frames import rows_of_frames
from server.errors import InvalidInput
from tests.server.codec.signatures import OUTPUT, SIGNATURES

MATRIX = SIGNATURES["matrix with columns"]
TABLE = Signature(
    (TensorSpec("a", "FP64", (-1,), nullable=True), TensorSpec("b", "BYTES", (-1,), nullable=True)), OUTPUT, table=True
)
#: one tensor of [n, 1] a column, as converters write it
COLUMNS = Signature((TensorSpec("a", "FP32", (-1, 1), nullable=True), TensorSpec("b", "BYTES", (-1, 1))), OUTPUT)


def decode(body: Any, signature: Signature = MATRIX) -> dict[str, Any]:
    return {name: array.tolist() for name, array in v1.decode(orjson.dumps(body), signature).inputs.items()}


FRAMES: list[Any] = [
    {"a": {"0": 1.5}, "b": {"0": 2.0}},
    {"a": [1.5], "b": [2.0]},
    {"a": [1.5, 3.0], "b": [2.0, 4.0]},
    {"a": {"x": 1.5, "y": 3.0}, "b": {"y": 4.0, "x": 2.0}},
    [{"a": 1.5, "b": 2.0}, {"b": 4.0, "a": 3.0}],
    {"b": [2.0], "a": 1.5},
]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_an_instance_is_what_pandas_makes_of_it(frame: Any, key: str) -> None:
    """KServe's servers make one data frame of each instance, and put them one below the other."""
    wanted = pd.concat([pd.DataFrame(frame, columns=["a", "b"])] * 2).to_numpy().tolist()
    assert decode({key: [frame, frame]}) == {"x": wanted}


@pytest.mark.parametrize("signature", [TABLE, COLUMNS])
def test_tables_of_mixed_types(signature: Signature) -> None:
    def flat(body: Any) -> dict[str, Any]:
        return {name: np.ravel(values).tolist() for name, values in decode(body, signature).items()}

    wanted = {"a": [22.0, 31.0], "b": ["m", "f"]}
    for instances in (
        [{"a": [22], "b": ["m"]}, {"a": [31], "b": ["f"]}],
        [{"a": {"0": 22, "1": 31}, "b": {"0": "m", "1": "f"}}],
        [{"a": 22, "b": "m"}, {"a": 31, "b": "f"}],
        [[22, "m"], [31, "f"]],
    ):
        assert flat({"instances": instances}) == wanted
    assert flat({"inputs": {"a": {"0": 22, "1": 31}, "b": {"0": "m", "1": "f"}}}) == wanted
    assert flat({"inputs": {"a": [22, 31], "b": ["m", "f"]}}) == wanted
    assert str(flat({"instances": [{"a": [None], "b": ["m"]}]})["a"]) == "[nan]"


@pytest.mark.parametrize(
    "frame",
    [
        [{"a": 1.5}, {"b": 2.0}],  # what KServe's tests send to its LightGBM server
        [{"a": 1.5}, {"a": 3.0}],
        [{"a": 1.5, "b": 2.0}, {"b": 4.0}],
    ],
)
def test_what_a_record_lacks_is_missing(frame: Any) -> None:
    """Where the model takes missing values; else the column is asked for."""
    nullable = replace(MATRIX, inputs=(replace(MATRIX.inputs[0], nullable=True),))
    wanted = pd.DataFrame(frame, columns=["a", "b"]).to_numpy()
    (decoded,) = v1.decode(orjson.dumps({"inputs": [frame]}), nullable).inputs.values()
    np.testing.assert_array_equal(decoded, wanted)
    with pytest.raises(InvalidInput, match=r"lacks '[ab]'"):
        decode({"inputs": [frame]})
    with pytest.raises(InvalidInput, match="unknown name 'c'"):
        v1.decode(orjson.dumps({"inputs": [[{"a": 1.5, "c": 2.0}]]}), nullable)


MISTAKES: list[tuple[Any, str]] = [
    ([{"a": [1, 2], "b": [3]}], "the columns of instances[0] hold different numbers of rows: 'a' holds 2, 'b' holds 1"),
    ([{"a": {"0": 1}, "b": {"1": 2}}], "instances[0]: only one of the columns 'a' and 'b' has the index"),
    ([{"a": [1], "b": {"0": 2}}], "the columns of instances[0] are not alike: 'a' is a list, 'b' is an object"),
    ([{"a": [1, 2], "b": 3}], "the columns of instances[0] are not alike: 'a' is a list, 'b' is 3"),
    ([{"a": [], "b": []}], "instances[0] holds no rows"),
    ([{"a": [1], "b": [2]}, [1, 2]], "instances[1] must be an object of columns"),
    ([{"a": [1], "c": [2]}], "instances[0] lacks 'b' and has the unknown name 'c'"),
    ([{"a": [[1]], "b": [2]}], "instances.a[0] is a list, the model takes FP64"),
    ([{"a": [{"0": 1}], "b": [2]}], "is an object, the model takes FP64"),
    ([{"a": 1, "b": 2}, {"a": [[1]], "b": [2]}], "instances.a[1] is a list, the model takes FP64"),
]


@pytest.mark.parametrize(("instances", "says"), MISTAKES)
def test_what_is_no_frame_is_refused_by_its_place(instances: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        decode({"instances": instances})
    assert says in str(error.value)


def test_rows_of_several_frames() -> None:
    assert rows_of_frames([[{"a": 1}], {"a": 2}, {"a": [3, 4]}], MATRIX, "x") == [
        {"a": 1},
        {"a": 2},
        {"a": 3},
        {"a": 4},
    ]


def test_lists_in_an_instance_of_a_model_without_columns_are_its_values() -> None:
    vectors = Signature((TensorSpec("v", "FP64", (-1, 2)), TensorSpec("w", "FP64", (-1, 2))), OUTPUT)
    assert decode({"instances": [{"v": [1, 2], "w": [3, 4]}]}, vectors) == {"v": [[1, 2]], "w": [[3, 4]]}
    anything = Signature((TensorSpec("v", "BYTES", (-1,), json=True),), OUTPUT, any_name=True)
    assert decode({"instances": [{"a": [1, 2]}]}, anything) == {"v": [{"a": [1, 2]}]}


def test_columns_that_nobody_looks_at_may_hold_anything() -> None:
    unused = Signature(
        (*TABLE.inputs[:1], TensorSpec("n", "BYTES", (-1,), optional=True, unused=True)), OUTPUT, table=True
    )
    lenient = replace(TABLE, inputs=TABLE.inputs[:1], ignores_unknown=True)
    for signature in (unused, lenient):
        for frame, wanted in (({"a": 1, "n": [1, [2]]}, [1.0]), ({"a": [1, 2], "n": {"x": 3}}, [1.0, 2.0])):
            assert decode({"instances": [frame]}, signature) == {"a": wanted}
