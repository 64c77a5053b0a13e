"""What a loaded model's own example says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
import pytest

from adapters.base import Adapter, Array, Match, ModelDir, Parameters, Signature, Tensors, TensorSpec
from server.workers.self_test import SelfTest, one_line, same_rows, self_test


class Model(Adapter):
    name = "model"
    platform = "test"

    def __init__(self, function: Callable[[Array], Array], batched: bool = True) -> None:
        spec = TensorSpec("x", "FP64", (-1, 2))
        super().__init__(Signature((spec,), (TensorSpec("y", "FP64", (-1,)),), batched=batched))
        self.function = function

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        raise NotImplementedError

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        return {"y": self.function(inputs["x"])}


def picky(x: Array) -> Array:
    if len(x) == 1:
        raise ValueError("one row is\nnone")
    return x[:, 0]


def failing(x: Array) -> Array:
    raise KeyError("a")


@pytest.mark.parametrize(
    ("model", "outcome"),
    [
        (Model(lambda x: x[:, 1]), SelfTest(batchable=True)),
        (Model(lambda x: x[:, 1] + len(x)), SelfTest(batchable=False)),
        (Model(lambda x: x.sum(keepdims=True)), SelfTest(batchable=False)),
        (Model(lambda x: x, batched=False), SelfTest(batchable=False)),
        (Model(picky), SelfTest(batchable=False, error="a single row: ValueError: one row is none")),
        (Model(failing), SelfTest(batchable=True, error="KeyError: 'a'")),
    ],
)
def test_rows_that_know_their_neighbours_are_found(model: Model, outcome: SelfTest) -> None:
    assert self_test(model) == outcome


def test_rounding_is_no_difference_and_a_type_is() -> None:
    def same(one: object, other: object) -> bool:
        rows = np.empty(2, object)
        rows[:] = [one, one]
        single = np.empty(1, object)
        single[:] = [other]
        return same_rows({"y": rows}, [{"y": single}] * 2)

    assert same({"a": [1.0, "x"]}, {"a": [1.0000001, "x"]})
    assert same(np.array([1.0]), np.array([1.0]))
    assert not same({"a": 1}, {"a": 1.0})
    assert not same({"a": 1}, {"b": 1})
    assert not same([1, 2], [1])
    assert not same_rows({"y": np.ones(2)}, [{"z": np.ones(1)}] * 2)
    assert not same_rows({"y": np.ones(2)}, [{"y": np.ones(1)}])


def test_one_line_is_bounded() -> None:
    assert one_line(ValueError("a\n b")) == "ValueError: a b"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line(ValueError("x" * 1000))) == 500
    assert one_line(ValueError("Unicode-7 is not supported.\nStack trace:\n  [bt] (0) /lib/x.so")).endswith(
        "supported."
    )
