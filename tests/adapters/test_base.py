"""What every adapter has of the contract without a line of its own."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import numpy as np
import pytest

from adapters.base import Adapter, Match, ModelDir, Parameters, Request, Signature, Tensors, TensorSpec, example_of

X = TensorSpec("x", "FP32", (-1, -1, 3))


class Plain(Adapter):
    name = "plain"
    platform = "test_plain"

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        return cls(Signature((X,), ()))

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        return inputs


def plain() -> Plain:
    return Plain.load(ModelDir.of("."), "", {})


@pytest.mark.parametrize(
    ("spec", "shape", "dtype"),
    [
        (X, (2, 1, 3), "float32"),
        (TensorSpec("x", "INT64", (3,)), (3,), "int64"),
        (TensorSpec("x", "BOOL", ()), (), "bool"),
        (TensorSpec("x", "FP64", (-1, 0)), (2, 1), "float64"),
        (TensorSpec("x", "BYTES", (-1,)), (2,), "object"),
    ],
)
def test_the_example_fits_the_signature(spec: TensorSpec, shape: tuple[int, ...], dtype: str) -> None:
    example = example_of(Signature((spec, TensorSpec("more", "FP64", (-1,), optional=True)), ()))
    assert list(example) == ["x"]
    assert (example["x"].shape, example["x"].dtype) == (shape, np.dtype(dtype))


@pytest.mark.parametrize(("binary", "kind"), [(True, bytes), (False, str)])
def test_an_example_of_texts_is_texts_or_bytes(binary: bool, kind: type) -> None:
    (value, _) = example_of(Signature((TensorSpec("x", "BYTES", (-1,), binary=binary),), ()))["x"]
    assert type(value) is kind


def test_what_an_adapter_does_not_offer_is_refused_by_name() -> None:
    with pytest.raises(NotImplementedError, match="plain declares no explanations"):
        plain().explain({}, {})
    with pytest.raises(NotImplementedError, match="plain takes tensors"):
        asyncio.run(plain().answer(Request("predict", "v1", b"", {})))


def test_it_has_no_evidence_and_lets_go_of_everything() -> None:
    model = plain()
    assert model.evidence() == {}
    model.close()
    model.release()
    assert not vars(model)


def test_a_trait_that_a_class_sets_by_itself_is_a_mistake() -> None:
    body: dict[str, Any] = {"thread_safe": True}
    with pytest.raises(TypeError, match="thread_safe"):
        type("Old", (Plain,), body)


def test_an_adapter_without_its_three_methods_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        type("Bare", (Adapter,), {})(Signature((), ()))
