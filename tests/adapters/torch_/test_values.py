"""Torch's values in ours: datatypes there and back, results of any nesting as named arrays, errors in one line."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adapters.base import InvalidInput, LoadError  # noqa: E402
from adapters.datatypes import NUMPY_OF  # noqa: E402
from adapters.torch_.values import (  # noqa: E402
    TORCH_NAMES,
    datatype_of,
    error_of_run,
    flatten,
    message_of,
    tensor_of,
)


@pytest.mark.parametrize("datatype", list(TORCH_NAMES))
def test_a_datatype_is_the_same_there_and_back(datatype: str) -> None:
    array = np.array([[0, 1]], dtype=NUMPY_OF[datatype])
    tensor = tensor_of(array)
    assert tensor.dtype is getattr(torch, TORCH_NAMES[datatype])
    assert datatype_of(tensor.dtype) == datatype
    (back,) = flatten(tensor).values()
    assert back.dtype == array.dtype
    assert back.tolist() == array.tolist()


def test_bfloat16_travels_as_its_wider_sister() -> None:
    assert datatype_of(torch.bfloat16) == "FP32"
    found = flatten(torch.tensor([1.5, -2.0], dtype=torch.bfloat16))["output-0"]
    assert found.dtype == np.float32
    assert found.tolist() == [1.5, -2.0]


@pytest.mark.parametrize("name", ["complex64", "qint8", "float8_e5m2"])
def test_a_type_that_no_datatype_holds_is_named(name: str) -> None:
    with pytest.raises(LoadError, match=f"a tensor is of type {name}, which is not served"):
        datatype_of(getattr(torch, name))


def test_a_tensor_shares_an_arrays_memory_unless_that_is_another_ones() -> None:
    array = np.zeros(2, np.float32)
    tensor_of(array)[0] = 5
    assert array.tolist() == [5, 0]
    array.flags.writeable = False
    copied = tensor_of(array)
    copied[1] = 7
    assert array.tolist() == [5, 0]


def test_texts_are_a_list_of_strings() -> None:
    assert tensor_of(np.array([["a", "b"], ["c", 1]], dtype=object)) == ["a", "b", "c", "1"]


class Pair(NamedTuple):
    low: Any
    high: Any


ONE, TWO = torch.tensor([1]), torch.tensor([2])


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (ONE, {"output-0": [1]}),
        ((ONE, TWO), {"output-0": [1], "output-1": [2]}),
        ([ONE, None, TWO], {"output-0": [1], "output-2": [2]}),
        ({"a": ONE, "b": {"c": TWO, 3: ONE}}, {"a": [1], "b.c": [2], "b.3": [1]}),
        (Pair(ONE, (TWO, ONE)), {"low": [1], "high.0": [2], "high.1": [1]}),
        ({"a": [{"b": TWO}]}, {"a.0.b": [2]}),
        (None, {}),
        (2.5, {"output-0": 2.5}),
        (True, {"output-0": True}),
        ("text", {"output-0": "text"}),
        (["a", "b"], {"output-0": ["a", "b"]}),
        ({"a": ["x"]}, {"a": ["x"]}),
    ],
    ids=[
        "tensor",
        "tuple",
        "none",
        "dict",
        "named",
        "deep",
        "nothing",
        "number",
        "truth",
        "text",
        "texts",
        "inner-texts",
    ],
)
def test_a_result_is_arrays_by_name(value: Any, names: dict[str, Any]) -> None:
    assert {name: array.tolist() for name, array in flatten(value).items()} == names


def test_a_name_may_be_given() -> None:
    assert list(flatten(ONE, "y")) == ["y"]
    assert list(flatten((ONE, TWO), "y")) == ["y.0", "y.1"]


def test_tensors_of_other_kinds_become_plain_ones() -> None:
    dense = torch.tensor([[0.0, 2.0]])
    assert flatten(dense.to_sparse())["output-0"].tolist() == [[0, 2]]
    quantized = torch.quantize_per_tensor(dense, 0.5, 0, torch.quint8)
    assert flatten(quantized)["output-0"].tolist() == [[0, 2]]
    assert flatten(dense.requires_grad_() * 1)["output-0"].tolist() == [[0, 2]]
    turned = torch.view_as_real(torch.tensor([1 + 2j])).conj()
    assert flatten(turned)["output-0"].tolist() == [[1, 2]]
    assert flatten(torch.tensor([1 + 2j]).conj().imag)["output-0"].tolist() == [-2]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (torch.tensor([1j]), "complex numbers"),
        (1j, "a complex, which no tensor holds"),
        ({"deep": {1, 2}}, "a set, which no tensor holds"),
        ([torch.device("cpu")], "a device, which no tensor holds"),
        (2**70, "a int, which no tensor holds"),
        (b"text", "a bytes, which no tensor holds"),
    ],
    ids=["tensor", "number", "set", "object", "large", "bytes"],
)
def test_what_no_array_holds_is_named(value: Any, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        flatten(value)


TRACE = (
    "The following operation failed in the TorchScript interpreter.\n"
    "Traceback of TorchScript, serialized code (most recent call last):\n"
    '  File "code/__torch__/net.py", line 5, in forward\n    return torch.mm(x, w)\n\n'
    "Traceback of TorchScript, original code (most recent call last):\n"
    '  File "net.py", line 3\n    return x @ w\n'
    "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)\n"
)


def test_the_cause_is_what_stands_behind_the_traces() -> None:
    assert message_of(RuntimeError(TRACE)) == "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"
    assert message_of(ValueError("")) == "ValueError"
    raised = TRACE.replace("RuntimeError: mat1", "builtins.ValueError: mat1")
    assert message_of(RuntimeError(raised)) == "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"


@pytest.mark.parametrize(
    ("message", "free", "client"),
    [
        ("The size of tensor a (3) must match the size of tensor b (4)", True, True),
        ("The size of tensor a (3) must match the size of tensor b (4)", False, False),
        ("index 7 is out of bounds for dimension 0 with size 5", False, True),
        ("index out of range in self", False, True),
        ("ZeroDivisionError: integer division by zero", False, True),
        ("out of memory", True, False),
    ],
    ids=["size", "fixed-size", "bounds", "range", "division", "memory"],
)
def test_whose_fault_it_is(message: str, free: bool, client: bool) -> None:
    error = error_of_run(RuntimeError(message), free)
    assert isinstance(error, InvalidInput) is client
    assert message in str(error)
