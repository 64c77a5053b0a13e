"""How a signature takes rows, found out on functions in the place of graphs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from adapters.base import Array
from adapters.shared import trial_runs
from adapters.tensorflow_.trial import SIZES, SignatureFindings, examine
from adapters.tensorflow_.types import Entry, Run, TensorflowPort

Dims = tuple[int, ...] | None


@pytest.fixture(autouse=True)
def without_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_runs, "MAX_SECONDS", math.inf)


def examined(run: Run, dims: Dims, output: Dims, datatype: str = "FP32") -> SignatureFindings:
    inputs, outputs = TensorflowPort("x", datatype, dims), TensorflowPort("y", "FP32", output)
    return examine(Entry("serve", (inputs,), (outputs,), run))


def test_rows_together_that_do_not_know_each_other_may_be_merged() -> None:
    found = examined(lambda arrays: [arrays[0] @ np.ones((4, 3), np.float32)], (-1, 4), (-1, 3))
    assert (found.ran, found.batched, found.mergeable) == (True, True, True)
    assert found.example["x"].shape == (2, 4)
    assert found.outputs == (TensorflowPort("y", "FP32", (-1, 3)),)


def test_rows_that_know_each_other_are_not_merged() -> None:
    found = examined(lambda arrays: [arrays[0] - arrays[0].mean(0)], (-1, 4), (-1, 4))
    assert (found.batched, found.mergeable) == (True, False)


def _rounded(arrays: Sequence[Array]) -> list[Array]:
    return [arrays[0] * np.float32(1 + 1e-5 * len(arrays[0]))]


def _refuses_one(arrays: Sequence[Array]) -> list[Array]:
    if len(arrays[0]) == 1:
        raise ValueError("no")
    return list(arrays)


def _nan(arrays: Sequence[Array]) -> list[Array]:
    return [np.where(arrays[0] > 0, np.nan, arrays[0])]


@pytest.mark.parametrize(
    ("run", "mergeable"),
    [
        (_rounded, True),
        (lambda arrays: [arrays[0] * np.float32(len(arrays[0]))], False),
        (_refuses_one, False),
        (_nan, True),
        (lambda arrays: [np.full(len(arrays[0]), len(arrays[0]), np.int64)], False),
        (lambda arrays: [np.array([str(row.tolist()) for row in arrays[0]], dtype=object)], True),
    ],
    ids=["rounding", "scaled", "refuses", "nan", "counts", "texts"],
)
def test_rounding_alone_may_differ_in_a_batch(run: Run, mergeable: bool) -> None:
    found = examined(run, (-1, 4), None)
    assert found.batched
    assert found.mergeable is mergeable


def test_a_length_is_no_batch() -> None:
    found = examined(lambda arrays: [arrays[0].sum(keepdims=True)], (-1,), (-1,))
    assert (found.ran, found.batched, found.mergeable) == (True, False, False)


@pytest.mark.parametrize(("dims", "output"), [((3, 4), (3, 4)), ((-1, 4), (1, 4)), ((), ())])
def test_fixed_first_dimensions_are_no_batch(dims: Dims, output: Dims) -> None:
    found = examined(lambda arrays: [arrays[0]], dims, output)
    assert (found.ran, found.batched) == (True, False)
    assert found.example["x"].shape == tuple(2 if size < 0 else size for size in dims or ())


def test_dimensions_that_nobody_declared_are_counted() -> None:
    found = examined(lambda arrays: [arrays[0][:, np.newaxis, np.newaxis]], None, None)
    assert found.batched
    assert found.outputs == (TensorflowPort("y", "FP32", (-1, -1, -1)),)


def test_free_sizes_are_tried_from_the_smallest_on() -> None:
    tried: list[tuple[int, ...]] = []

    def pools(arrays: Sequence[Array]) -> list[Array]:
        tried.append(arrays[0].shape)
        if arrays[0].shape[1] < 16:
            raise ValueError("negative dimension")
        return [arrays[0].sum((1, 2))]

    found = examined(pools, (-1, -1, -1, 3), (-1, 3))
    assert found.example["x"].shape == (2, 16, 16, 3)
    assert tried[:6] == [(2, size, size, 3) for size in SIZES[:6]]


@pytest.mark.parametrize("wanted", ["example", "", "0", "png"])
def test_texts_are_tried_as_words_records_images_and_numbers(wanted: str) -> None:
    def parses(arrays: Sequence[Array]) -> list[Array]:
        (text,) = set(arrays[0].tolist())
        if wanted == "png":
            fits = text.startswith(b"\x89PNG\r\n") and text.endswith(b"IEND\xaeB`\x82")
        else:
            fits = text == wanted.encode()
        if not fits:
            raise ValueError("no")
        return [np.zeros((len(arrays[0]), 1))]

    found = examined(parses, (-1,), (-1, 1), "BYTES")
    assert (found.ran, found.batched, found.mergeable) == (True, True, True)


@pytest.mark.parametrize(("dims", "batched"), [((-1, 4), True), (None, True), ((3, 4), False)])
def test_of_a_graph_that_takes_nothing_the_declared_shapes_are_believed(dims: Dims, batched: bool) -> None:
    def refuses(arrays: Sequence[Array]) -> list[Array]:
        raise ValueError("no")

    found = examined(refuses, dims, (-1, 3))
    assert (found.ran, found.batched, found.mergeable) == (False, batched, batched)
    assert found.example["x"].shape == ((2,) if dims is None else (2, 4) if batched else (3, 4))
    assert found.outputs == (TensorflowPort("y", "FP32", (-1, 3)),)


def test_a_signature_without_inputs_has_no_rows() -> None:
    outputs = (TensorflowPort("y", "FP32", (-1,)),)
    run: Any = lambda arrays: [np.ones(2, np.float32)]  # noqa: E731
    found = examine(Entry("serve", (), outputs, run))
    assert (found.ran, found.batched, found.example) == (True, False, {})
