"""TensorFlow's words in ours, without TensorFlow: ports and their specs, values, errors in one line."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapters.base import Array, InvalidInput, LoadError, TensorSpec
from adapters.datatypes import NUMPY_OF
from adapters.tensorflow_.types import (
    DATATYPES,
    Entry,
    TensorflowPort,
    error_of_run,
    message_of,
    port,
    tensor_of,
)


def shape(*sizes: int | None) -> Any:
    return SimpleNamespace(rank=len(sizes), as_list=lambda: list(sizes))


def test_a_port_has_the_datatype_and_the_dimensions_of_its_tensor() -> None:
    dtype = SimpleNamespace(name="float32")
    assert port("x", dtype, shape(None, 4), "input x") == TensorflowPort("x", "FP32", (-1, 4))
    assert port("x", dtype, shape(), "input x") == TensorflowPort("x", "FP32", ())
    unknown = port("x", dtype, SimpleNamespace(rank=None), "input x")
    assert unknown == TensorflowPort("x", "FP32", None)
    assert unknown.shape == (-1,)


@pytest.mark.parametrize("name", ["bfloat16", "complex64", "resource", "variant", "qint8"])
def test_a_type_that_is_not_served_is_named_with_its_place(name: str) -> None:
    with pytest.raises(LoadError, match=f"^output 'y' has the type {name}, which is not served: export the model"):
        port("y", SimpleNamespace(name=name), shape(1), "output 'y'")


def test_every_type_that_is_served_has_an_array_type() -> None:
    assert set(DATATYPES.values()) <= NUMPY_OF.keys()
    assert all(NUMPY_OF[ours].name == name for name, ours in DATATYPES.items() if name != "string")


@pytest.mark.parametrize(("datatype", "nullable", "binary"), [
    ("FP16", True, False), ("FP32", True, False), ("FP64", True, False), ("INT64", False, False),
    ("BOOL", False, False), ("BYTES", False, True),
])  # fmt: skip
def test_missing_values_are_numbers_and_texts_are_bytes(datatype: str, nullable: bool, binary: bool) -> None:
    spec = TensorflowPort("x", datatype, (-1, 2)).input_spec()
    assert spec == TensorSpec("x", datatype, (-1, 2), nullable=nullable, binary=binary)
    assert TensorflowPort("x", datatype, None).input_spec().any_rank


@pytest.mark.parametrize(
    ("name", "datatype", "encoded"),
    [("image_bytes", "BYTES", True), ("image", "BYTES", False), ("count_bytes", "INT64", False)],
)
def test_outputs_go_as_base64_where_their_names_say_so(name: str, datatype: str, encoded: bool) -> None:
    spec = TensorflowPort(name, datatype, (-1,)).output_spec()
    assert spec.base64 is encoded
    assert spec.binary is (datatype == "BYTES")


@pytest.mark.parametrize(
    ("dims", "freed"), [((1, 4), (-1, 4)), ((7,), (-1,)), (None, (-1,)), ((-1, -1, 3), (-1, -1, 3))]
)
def test_a_port_may_be_freed_of_its_number_of_rows(dims: tuple[int, ...] | None, freed: tuple[int, ...]) -> None:
    assert TensorflowPort("x", "FP32", dims).freed() == TensorflowPort("x", "FP32", freed)


def _run(arrays: Sequence[Array]) -> Sequence[Array]:
    return arrays


def entry(*dims: tuple[int, ...] | None, unchecked: Any = lambda: _run) -> Entry:
    ports = tuple(TensorflowPort(f"x{index}", "FP32", each) for index, each in enumerate(dims))
    return Entry("serve", ports, (TensorflowPort("y", "FP32", (1, 2)),), lambda arrays: [], unchecked)


def test_a_signature_of_one_row_may_be_run_with_any_number() -> None:
    freed = entry((1, 4), (1,)).of_any_rows()
    assert freed is not None
    assert [each.dims for each in (*freed.inputs, *freed.outputs)] == [(-1, 4), (-1,), (-1, 2)]
    assert freed.run is _run
    assert freed.of_any_rows() is None


@pytest.mark.parametrize(
    "other",
    [entry((1, 4), unchecked=None), entry(), entry((2, 4)), entry((1, 4), (-1,)), entry(()), entry(None)],
    ids=["checked", "no-inputs", "two-rows", "free", "scalar", "unknown"],
)
def test_other_signatures_are_run_as_they_were_saved(other: Entry) -> None:
    assert other.of_any_rows() is None


def test_a_value_without_dimensions_is_an_array() -> None:
    array = np.ones((2, 3))
    assert tensor_of(array, "FP64") is array
    number = tensor_of(np.float32(2.5), "FP32")
    assert (number.shape, number.dtype, number[()]) == ((), np.float32, 2.5)
    text = tensor_of(b"a\0", "BYTES")
    assert (text.shape, text.dtype, text[()]) == ((), object, b"a\0")


class InvalidArgumentError(Exception):
    """Named as TensorFlow's; its message is an attribute, as there."""

    def __init__(self, message: str) -> None:
        super().__init__(None, None, message)
        self.message = message


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Sizes differ: In[0]: [2,3]\n\t [[{{node MatMul}}]] [Op:MatMul]", "Sizes differ: In[0]: [2,3]"),
        ("bad shape [Op:Reshape]", "bad shape"),
        ("Graph execution error:\n\n9 is not in [0, 5)\n\nErrors may have originated", "9 is not in [0, 5)"),
    ],
    ids=["nodes", "operation", "graph"],
)
def test_a_message_is_its_first_sentence(message: str, told: str) -> None:
    assert message_of(InvalidArgumentError(message)) == told


def test_an_error_without_a_message_is_its_kind() -> None:
    assert message_of(TimeoutError()) == "TimeoutError"


def test_an_operation_of_another_package_is_named() -> None:
    error = RuntimeError("Op type not registered 'RegexSplitWithOffsets' in binary running on host. Make sure ...")
    assert message_of(error) == (
        "the graph needs the operation 'RegexSplitWithOffsets', which another package brings (tensorflow-text, for one)"
    )


def test_whose_fault_it_is() -> None:
    assert isinstance(error_of_run(InvalidArgumentError("bad shape")), InvalidInput)
    other = error_of_run(MemoryError("out of memory"))
    assert not isinstance(other, InvalidInput)
    assert "out of memory" in str(other)
