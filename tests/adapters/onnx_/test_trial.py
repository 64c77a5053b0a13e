"""How a graph takes rows, and an example that it accepts: graphs of every kind as functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from adapters.base import LoadError, Tensors
from adapters.onnx_ import trial
from adapters.onnx_.graph import Categories
from adapters.onnx_.trial import MAX_FIXED, SIZES, examine
from adapters.onnx_.types import OnnxPort
from adapters.shared import trial_runs
from adapters.shared.trial_runs import Findings, Rows

Dims = tuple[int | str | None, ...]


@pytest.fixture(autouse=True)
def without_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_runs, "MAX_SECONDS", math.inf)


def port(*dims: int | str | None, name: str = "x", datatype: str = "FP32") -> OnnxPort:
    return OnnxPort(name, "tensor", datatype, dims)


def found(
    run: Callable[[Tensors], Tensors], *inputs: OnnxPort, output: Dims = (None, 3), known: Categories | None = None
) -> Findings:
    return examine(run, inputs, [port(*output, name="y")], known or {})


def test_rows_together_at_the_first_size_that_fits() -> None:
    findings = found(lambda feeds: {"y": feeds["x"] @ np.ones((7, 3), np.float32)}, port("batch", None))
    assert (findings.rows, findings.count) == (Rows.TOGETHER, 2)
    assert findings.example["x"].shape == (2, 7)
    assert findings.outputs["y"].shape == (2, 3)
    assert len(np.unique(findings.example["x"], axis=0)) == 2


def test_a_graph_of_one_row_is_run_row_by_row() -> None:
    findings = found(lambda feeds: {"y": feeds["x"].reshape(1, 4)}, port(None, 4))
    assert findings.rows is Rows.ONE_BY_ONE
    assert findings.example["x"].shape == (2, 4)
    fixed = found(lambda feeds: {"y": feeds["x"].reshape(1, 4)}, port(1, 4))
    assert fixed.rows is Rows.ONE_BY_ONE


def test_boxes_found_in_one_picture_are_no_rows() -> None:
    def one_box(feeds: Tensors) -> Tensors:
        return {"y": feeds["x"][:, 0, :3]}

    picture, boxes = [port(1, 2, 4)], [port("found", 3, name="y")]
    assert examine(one_box, picture, boxes, {}).rows is Rows.ONE_BY_ONE
    assert examine(one_box, picture, boxes, {}, counting=True).rows is Rows.NONE
    assert examine(one_box, picture, [port(1, 3, name="y")], {}, counting=True).rows is Rows.ONE_BY_ONE


def test_a_fixed_number_of_rows_is_a_whole_tensor() -> None:
    findings = found(lambda feeds: {"y": feeds["x"]}, port(5, 4))
    assert (findings.rows, findings.count) == (Rows.NONE, None)
    assert findings.example["x"].shape == (5, 4)


def test_scalars_and_graphs_without_inputs_have_no_rows() -> None:
    assert found(lambda feeds: {"y": feeds["x"]}, port()).rows is Rows.NONE
    assert found(lambda feeds: {"y": np.ones((2, 3))}).rows is Rows.NONE


def test_inputs_with_symbols_of_their_own_are_no_batch_where_they_may_be_uneven() -> None:
    def distances(feeds: Tensors) -> Tensors:
        return {"y": feeds["a"] @ feeds["b"].T}

    inputs = port("n", 4, name="a"), port("m", 4, name="b")
    assert found(distances, *inputs).rows is Rows.NONE
    sums = found(lambda feeds: {"y": feeds["a"] + feeds["b"]}, *inputs)
    assert sums.rows is Rows.TOGETHER


def _fails(feeds: Tensors) -> Tensors:
    raise ValueError("never")


@pytest.mark.parametrize(
    ("first", "output", "rows"),
    [
        ("batch", ("batch", 3), Rows.TOGETHER),
        (None, (None, 3), Rows.TOGETHER),
        ("batch", (None, 3), Rows.TOGETHER),
        ("batch", (3,), Rows.NONE),
        (1, (1, 3), Rows.ONE_BY_ONE),
        (5, (5, 3), Rows.NONE),
    ],
    ids=["symbol", "free", "free-output", "no-rows", "one", "five"],
)
def test_of_a_graph_that_takes_nothing_the_declared_shapes_are_believed(
    first: int | str | None, output: Dims, rows: Rows
) -> None:
    findings = found(_fails, port(first, 4), output=output)
    assert findings.rows is rows
    assert findings.outputs == {}
    assert findings.example["x"].shape == ((5 if first == 5 else 1, 4) if rows is Rows.NONE else (2, 4))


def test_an_input_that_is_far_too_large_is_an_error() -> None:
    with pytest.raises(LoadError, match=rf"input 'x' of shape .* has more than {MAX_FIXED} elements"):
        found(_fails, port(None, MAX_FIXED + 1))


def test_free_dimensions_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "MAX_ELEMENTS", 3000)
    sizes: set[int] = set()

    def run(feeds: Tensors) -> Tensors:
        sizes.add(feeds["x"].size)
        raise ValueError("no")

    found(run, port(None, 3, None, None))
    of_two, of_one = ({rows * 3 * size**2 for size in SIZES if rows * 3 * size**2 <= 3000} for rows in (2, 1))
    whole = {3 * size**3 for size in SIZES if 3 * size**3 <= 3000}
    assert sizes == of_two | of_one | whole


def test_sizes_are_tried_of_what_is_free() -> None:
    tried: list[tuple[int, ...]] = []

    def run(feeds: Tensors) -> Tensors:
        tried.append(feeds["x"].shape)
        raise ValueError("no")

    found(run, port("batch", 4))
    assert tried == [(2, 4), (1, 4), *((size, 4) for size in SIZES)]
    tried.clear()
    found(run, port("batch", None))
    assert tried[: len(SIZES)] == [(2, size) for size in SIZES]
    tried.clear()
    found(run, port(5, 4))
    assert tried == [(5, 4)]


def test_whole_numbers_are_tried_as_a_ramp_as_ones_and_as_zeros() -> None:
    seen: list[list[int]] = []

    def zeros_only(feeds: Tensors) -> Tensors:
        seen.append(feeds["x"].tolist())
        if feeds["x"].any():
            raise ValueError("no")
        return {"y": feeds["x"]}

    findings = found(zeros_only, port(None, 2, datatype="INT64"))
    assert seen[:3] == [[[0, 1], [1, 0]], [[1, 1], [1, 1]], [[0, 0], [0, 0]]]
    assert findings.example["x"].tolist() == [[0, 0], [0, 0]]


def test_masks_are_ones_and_texts_are_texts() -> None:
    inputs = port("n", 2, name="attention_mask", datatype="INT64"), port("n", name="t", datatype="BYTES")
    findings = found(lambda feeds: {"y": feeds["attention_mask"]}, *inputs)
    assert findings.example["attention_mask"].tolist() == [[1, 1], [1, 1]]
    assert findings.example["t"].tolist() == ["example", "example"]


def test_encoders_are_shown_categories_that_they_know() -> None:
    known: Categories = {("x", 1): ("red", "green"), ("z", 0): (7,), ("x", 9): ("none",)}
    inputs = port("n", 3, datatype="BYTES"), port("n", name="z", datatype="INT64")

    def run(feeds: Tensors) -> Tensors:
        if not set(feeds["x"][:, 1]) <= {"red", "green"} or set(feeds["z"]) != {7}:
            raise ValueError("unknown category")
        return {"y": np.zeros((len(feeds["z"]), 3))}

    findings = found(run, *inputs, known=known)
    assert findings.rows is Rows.TOGETHER
    assert findings.example["x"].tolist() == [["example", "red", "example"], ["example", "green", "example"]]
    assert findings.example["z"].tolist() == [7, 7]
