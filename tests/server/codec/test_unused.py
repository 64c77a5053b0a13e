"""A column that the model never looks at may hold anything, or be left out; the others are checked as ever."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from adapters.base import Signature, TensorSpec
from server.codec import v1, v2
from server.errors import InvalidInput

TABLE = Signature(
    (TensorSpec("age", "FP64", (-1,)), TensorSpec("note", "BYTES", (-1,), optional=True, unused=True)), (), table=True
)


@pytest.mark.parametrize("note", ["text", 3, None, [1, [2]], {"a": 1}, True])
def test_v1_takes_any_value(note: Any) -> None:
    for body in (
        {"instances": [{"age": 1.5, "note": note}]},
        {"instances": [[1.5, note]]},
        {"inputs": {"age": [1.5], "note": [note]}},
    ):
        call = v1.decode(orjson.dumps(body), TABLE)
        assert {name: array.tolist() for name, array in call.inputs.items()} == {"age": [1.5]}


@pytest.mark.parametrize(("datatype", "value"), [("BYTES", "a"), ("FP32", 1.5), ("BOOL", True)])
def test_v2_takes_any_tensor(datatype: str, value: Any) -> None:
    tensors = [
        {"name": "age", "shape": [1], "datatype": "FP64", "data": [1.5]},
        {"name": "note", "shape": [1], "datatype": datatype, "data": [value]},
    ]
    assert v2.decode(orjson.dumps({"inputs": tensors}), None, TABLE).inputs.keys() == {"age"}


def test_what_is_used_is_still_checked() -> None:
    with pytest.raises(InvalidInput, match="age"):
        v1.decode(b'{"instances": [{"note": 3}]}', TABLE)
    with pytest.raises(InvalidInput, match="unknown"):
        v1.decode(b'{"instances": [{"age": 3, "nota": 3}]}', TABLE)
