"""What made-up inputs show of a program: programs of every kind as functions, and the signature that comes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from adapters.base import Tensors, TensorSpec
from adapters.shared import trial_runs
from adapters.shared.trial_runs import Rows
from adapters.torch_ import trial
from adapters.torch_.trial import ProgramFindings, Slot, examine

Run = Callable[[Tensors], Tensors]


@pytest.fixture(autouse=True)
def without_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_runs, "MAX_SECONDS", math.inf)


def found(run: Run, *slots: Slot) -> ProgramFindings:
    findings = examine(run, [slots])
    assert isinstance(findings, ProgramFindings)
    return findings


def x(*sizes: int, free: tuple[bool, ...] | None = None, datatype: str = "FP32") -> Slot:
    return Slot("x", datatype, sizes, free)


def linear(inputs: Tensors) -> Tensors:
    return {"y": inputs["x"] @ np.ones((4, 3), np.float32)}


def test_rows_of_a_width_that_the_program_insists_on() -> None:
    findings = found(linear, x(2, 4))
    assert findings.rows is Rows.TOGETHER
    assert findings.inputs == (TensorSpec("x", "FP32", (-1, 4), nullable=True),)
    assert findings.outputs == (TensorSpec("y", "FP32", (-1, 3)),)
    assert findings.example["x"].shape == (2, 4)
    assert findings.example["x"][0].tolist() != findings.example["x"][1].tolist()


def test_a_dimension_that_may_have_any_size_is_found_out() -> None:
    findings = found(lambda inputs: {"y": inputs["x"] * 2}, x(2, 4, 5, datatype="INT64"))
    assert findings.inputs == (TensorSpec("x", "INT64", (-1, -1, -1)),)
    assert findings.outputs == (TensorSpec("y", "INT64", (-1, -1, -1)),)


def test_declared_dimensions_are_believed_once_it_ran() -> None:
    findings = found(lambda inputs: {"y": inputs["x"].sum((1, 2))}, x(2, 3, 8, free=(True, False, True)))
    assert findings.inputs[0].shape == (-1, 3, -1)
    assert findings.outputs[0].shape == (-1,)


def test_lengths_that_must_be_alike_change_together() -> None:
    def masked(inputs: Tensors) -> Tensors:
        return {"hidden": inputs["ids"] * inputs["mask"], "first": inputs["ids"][:, 0]}

    findings = found(masked, Slot("ids", "INT64", (2, 8)), Slot("mask", "INT64", (2, 8)))
    assert findings.rows is Rows.TOGETHER
    assert [spec.shape for spec in findings.inputs] == [(-1, -1), (-1, -1)]
    assert [spec.shape for spec in findings.outputs] == [(-1, -1), (-1,)]
    assert findings.example["mask"].tolist() == [[1] * 8] * 2
    assert set(findings.example["ids"].ravel()) == {0, 1}


def test_one_row_a_run_has_an_example_of_two() -> None:
    def one(inputs: Tensors) -> Tensors:
        return {"y": inputs["x"].reshape(1, 4)}

    findings = found(one, x(2, 4))
    assert findings.rows is Rows.ONE_BY_ONE
    assert findings.inputs[0].shape == (-1, 4)
    assert findings.example["x"].shape == (2, 4)


def test_whole_tensors_keep_the_sizes_that_they_were_tried_with() -> None:
    findings = found(lambda inputs: {"y": inputs["x"].sum()[np.newaxis]}, x(5, 4, free=(False, False)))
    assert findings.rows is Rows.NONE
    assert findings.inputs[0].shape == (5, 4)
    assert findings.outputs[0].shape == (1,)
    assert findings.example["x"].shape == (5, 4)


def test_rows_that_are_no_batch_are_whole_tensors() -> None:
    findings = found(lambda inputs: {"y": inputs["x"].sum(0)}, x(2, 4, free=(True, False)))
    assert findings.rows is Rows.NONE
    assert findings.inputs[0].shape == (-1, 4)
    assert findings.outputs[0].shape == (4,)


def test_texts_and_truth_values_are_made_up_too() -> None:
    seen: list[Tensors] = []

    def run(inputs: Tensors) -> Tensors:
        seen.append(inputs)
        return {"y": np.arange(len(inputs["text"]), dtype=np.int64)}

    findings = found(run, Slot("text", "BYTES", (2,)), Slot("flag", "BOOL", (2,)))
    assert findings.inputs[0] == TensorSpec("text", "BYTES", (-1,))
    assert seen[0]["text"].tolist() == ["example", "example"]
    assert seen[0]["flag"].tolist() == [True, True]


def test_the_first_candidate_with_rows_together_wins_over_one_that_merely_runs() -> None:
    def run(inputs: Tensors) -> Tensors:
        if inputs["x"].shape[1] == 1:
            return {"y": inputs["x"].sum()[np.newaxis]}
        return linear(inputs)

    findings = examine(run, [[x(2, 1)], [x(2, 2)], [x(2, 4)], [x(2, 8)]])
    assert isinstance(findings, ProgramFindings)
    assert findings.rows is Rows.TOGETHER
    assert findings.inputs[0].shape == (-1, 4)


def test_after_what_merely_runs_not_everything_is_tried() -> None:
    tried: list[int] = []

    def candidates() -> Iterator[Sequence[Slot]]:
        for size in range(1, 500):
            tried.append(size)
            yield [x(2, size, free=(False, False))]

    def only_one(inputs: Tensors) -> Tensors:
        if inputs["x"].shape[1] != 1:
            raise ValueError("no")
        return {"y": np.zeros(1, np.float32)}

    findings = examine(only_one, candidates())
    assert isinstance(findings, ProgramFindings)
    assert findings.inputs[0].shape == (2, 1)
    assert len(tried) == 60


def test_a_program_that_takes_nothing_gives_its_last_error() -> None:
    def refuses(inputs: Tensors) -> Tensors:
        raise ValueError(f"no {inputs['x'].shape[1]}")

    error = examine(refuses, [[x(2, 3)], [x(2, 5)]])
    assert isinstance(error, ValueError)
    assert str(error) == "no 5"
    assert examine(refuses, []) is None


def test_sizes_beyond_the_limit_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "MAX_ELEMENTS", 3000)
    sizes: set[int] = set()

    def run(inputs: Tensors) -> Tensors:
        sizes.add(inputs["x"].size)
        return {"y": inputs["x"][:, :1]}

    findings = found(run, x(2, 900))
    assert findings.inputs[0].shape == (-1, -1)
    assert sizes == {2 * 900, 3 * 900, 2 * 901, 3 * 901}  # one more column is tried, twice as many are not


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT32", "BOOL", "UINT8"])
def test_missing_values_are_numbers_to_a_program_of_floats_alone(datatype: str) -> None:
    findings = found(lambda inputs: {"y": inputs["x"]}, x(2, 3, datatype=datatype))
    assert findings.inputs[0].nullable is datatype.startswith("FP")
    assert findings.outputs[0].datatype == datatype
