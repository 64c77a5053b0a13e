"""What explanations look like on the wire."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from adapters.base import Signature, Tensors, TensorSpec
from server.codec.outputs import encode_explanations

MATRIX = Signature((TensorSpec("input-0", "FP64", (-1, 2)),), (TensorSpec("output-0", "FP64", (-1,)),))
NAMED = replace(MATRIX, columns=("age", "size"))
COLUMNS = (TensorSpec("age", "FP64", (-1,)), TensorSpec("city", "BYTES", (-1,)))
TABLE = replace(MATRIX, inputs=COLUMNS, table=True)


def explained(*outputs: int) -> Tensors:
    """Two rows of two columns."""
    size = int(np.prod(outputs))
    contributions = np.arange(4.0 * size).reshape(2, 2, *outputs)
    return {"contributions": contributions, "base_value": np.arange(2.0 * size).reshape(2, *outputs) / 2}


ONE = [
    (MATRIX, [[0.0, 1.0], [2.0, 3.0]]),
    (NAMED, [{"age": 0.0, "size": 1.0}, {"age": 2.0, "size": 3.0}]),
    (TABLE, [{"age": 0.0, "city": 1.0}, {"age": 2.0, "city": 3.0}]),
]


@pytest.mark.parametrize(("signature", "contributions"), ONE, ids=["matrix", "named", "table"])
def test_one_output(signature: Signature, contributions: list[Any]) -> None:
    answer = orjson.loads(encode_explanations(explained(), signature))
    rows = [{"contributions": row, "base_value": n / 2} for n, row in enumerate(contributions)]
    assert answer == {"explanations": rows}


def test_several_outputs() -> None:
    first, second = orjson.loads(encode_explanations(explained(3), NAMED))["explanations"]
    assert first == {"contributions": {"age": [0, 1, 2], "size": [3, 4, 5]}, "base_value": [0, 0.5, 1]}
    assert second == {"contributions": {"age": [6, 7, 8], "size": [9, 10, 11]}, "base_value": [1.5, 2, 2.5]}


def test_a_float_of_32_bits_keeps_its_value() -> None:
    third = np.full((1, 2), 1 / 3, dtype=np.float32)
    answer = orjson.loads(encode_explanations({"contributions": third, "base_value": third[:, 0]}, NAMED))[
        "explanations"
    ]
    assert answer == [{"contributions": dict.fromkeys(("age", "size"), float(third[0, 0])), "base_value": third[0, 0]}]


def test_what_json_cannot_hold_is_null() -> None:
    odd = np.array([[np.nan, np.inf]])
    assert orjson.loads(encode_explanations({"contributions": odd, "base_value": odd[:, 0]}, MATRIX)) == {
        "explanations": [{"contributions": [None, None], "base_value": None}]
    }


def test_a_model_without_a_batch_has_one_explanation() -> None:
    whole = replace(MATRIX, batched=False)
    answer = orjson.loads(
        encode_explanations({"contributions": np.array([1.0, 2.0]), "base_value": np.array(0.5)}, whole)
    )
    assert answer == {"explanations": [{"contributions": [1.0, 2.0], "base_value": 0.5}]}


def test_an_adapter_may_explain_in_other_terms() -> None:
    answer = orjson.loads(encode_explanations({"tokens": np.array([["a", "b"]], dtype=object)}, NAMED))
    assert answer == {"explanations": [{"tokens": ["a", "b"]}]}
