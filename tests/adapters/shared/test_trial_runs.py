"""How a model takes rows: models of every kind, as functions, and what the runs find out about them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapters.base import Tensors
from adapters.shared import trial_runs
from adapters.shared.trial_runs import Findings, Make, Rows, TrialRuns, TrialTime, all_have, fitting, ramp, same


def make(width: int, rows: int | None, names: str = "x") -> Tensors:
    """Rows of `width` numbers; whole tensors have five."""
    return {name: ramp("FP32", (5 if rows is None else rows, width)) for name in names}


def found(run: Callable[[Tensors], Tensors], names: str = "x", **options: Any) -> Findings | None:
    candidates: list[Make] = [partial(make, width, names=names) for width in (1, 2, 3, 4)]
    return TrialRuns(run).findings(lambda rows: candidates, **{"batch": True, "single": True, **options})


def how(run: Callable[[Tensors], Tensors], names: str = "x", **options: Any) -> Rows | None:
    findings = found(run, names, **options)
    return findings.rows if findings else None


def of_width(width: int, answer: Callable[[Any], Any]) -> Callable[[Tensors], Tensors]:
    """A model that takes rows of that width alone."""

    def run(inputs: Tensors) -> Tensors:
        if inputs["x"].shape[1] != width:
            raise ValueError(f"{width} columns, not {inputs['x'].shape[1]}")
        return {"y": answer(inputs["x"])}

    return run


def test_rows_together() -> None:
    findings = found(of_width(3, lambda x: x.sum(axis=1)))
    assert findings
    assert (findings.rows, findings.count) == (Rows.TOGETHER, 2)
    assert findings.example["x"].shape == (2, 3)
    assert findings.outputs["y"].shape == (2,)


def test_rows_one_by_one() -> None:
    findings = found(of_width(3, lambda x: x.reshape(1, 3)))
    assert findings
    assert (findings.rows, findings.count) == (Rows.ONE_BY_ONE, 1)
    assert findings.example["x"].shape == (2, 3)  # two rows, which are run one by one
    assert findings.outputs["y"].shape == (1, 3)


def test_two_rows_that_are_no_batch() -> None:
    findings = found(of_width(3, lambda x: x.sum()))
    assert findings
    assert (findings.rows, findings.count, findings.example["x"].shape) == (Rows.NONE, 2, (2, 3))


def test_whole_tensors() -> None:
    findings = found(of_width(3, lambda x: x.reshape(5, 3)), single=False)
    assert findings
    assert (findings.rows, findings.count, findings.example["x"].shape) == (Rows.NONE, None, (5, 3))


def test_what_may_be_no_batch_is_not_shown_as_one() -> None:
    findings = found(of_width(3, lambda x: x), batch=False, single=False)
    assert findings
    assert (findings.rows, findings.count) == (Rows.NONE, None)


def test_what_takes_nothing() -> None:
    runs = TrialRuns(of_width(9, lambda x: x))
    assert runs.findings(lambda rows: [partial(make, 2)], batch=True, single=True) is None
    assert str(runs.error) == "9 columns, not 2"


def test_to_give_nothing_is_no_answer() -> None:
    assert TrialRuns(lambda inputs: {}).attempt({}) is None


def test_outputs_as_long_as_the_input_is_different_are_known_by_a_row_that_comes_twice() -> None:
    unique = of_width(1, lambda x: np.unique(x))
    assert how(unique) is Rows.TOGETHER
    assert how(unique, alike=True) is Rows.NONE


def test_inputs_of_different_lengths_are_no_batch() -> None:
    """Two inputs and their product, row by row: no batch, as either may be longer."""

    def products(inputs: Tensors) -> Tensors:
        return {"y": inputs["a"] @ inputs["b"].T}

    def sums(inputs: Tensors) -> Tensors:
        return {"y": inputs["a"] + inputs["b"]}

    assert how(products, "ab", uneven=True) is Rows.NONE
    assert how(products, "ab") is Rows.TOGETHER
    assert how(sums, "ab", uneven=True) is Rows.TOGETHER


def test_after_its_time_one_candidate_is_tried_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_runs, "MAX_SECONDS", -1.0)
    shown: list[int] = []

    def run(inputs: Tensors) -> Tensors:
        shown.append(inputs["x"].shape[1])
        raise ValueError

    assert found(run) is None
    assert shown == [1, 1, 1]  # as rows, as one, as whole tensors


def test_a_machine_that_has_much_else_to_do_takes_no_candidate_away(monkeypatch: pytest.MonkeyPatch) -> None:
    passed, computed = [0.0], [0.0]
    clocks = SimpleNamespace(monotonic=lambda: passed[0], thread_time=lambda: computed[0])
    monkeypatch.setattr(trial_runs, "time", clocks)
    trying = TrialTime()
    passed[0] = 5 * trial_runs.MAX_SECONDS  # in which it has waited for a core
    assert not trying.is_over()
    computed[0] = trial_runs.MAX_SECONDS + 0.1
    assert trying.is_over()
    computed[0] = 0.0
    passed[0] = 7 * trial_runs.MAX_SECONDS  # of one that computes in other threads
    assert trying.is_over()


def test_sizes_that_fit() -> None:
    assert list(fitting((1, 2, 3, 4), lambda size: [(size, 10), (2,)], 30)) == [1, 2, 3]
    assert list(fitting((1, 2), lambda size: [(100, size)], 30)) == [1]


def test_numbers_in_rows_that_differ() -> None:
    assert ramp("FP64", (2, 3)).tolist() == [[0.0, 0.1, 0.2], [0.1, 0.2, 0.3]]
    assert ramp("INT32", (2, 3)).tolist() == [[0, 1, 0], [1, 0, 1]]
    assert ramp("BOOL", (2,)).tolist() == [False, True]
    assert ramp("FP32", ()).shape == ()
    assert ramp("INT8", (2, 1, 3)).dtype == np.int8


def test_comparisons() -> None:
    two = {"y": np.zeros((2, 1))}
    assert all_have(two, 2)
    assert not all_have({**two, "z": np.zeros(())}, 2)
    assert same(two, {"y": np.zeros((2, 1))})
    assert not same(two, {"y": np.zeros(2)})
    assert not same(two, {"z": np.zeros((2, 1))})
    assert not same({"y": np.array([np.nan])}, {"y": np.array([np.nan])})
