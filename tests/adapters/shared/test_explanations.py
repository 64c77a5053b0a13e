"""The form of explanations, and the proof that they add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Tensors, TensorSpec
from adapters.shared.explanations import adds_up, by_column, proved


def explained(factor: float = 1.0, dtype: str = "float64") -> Tensors:
    contributions = np.array([[1.0, -2.0], [0.5, 1e6]], dtype) * np.dtype(dtype).type(factor)
    return {"contributions": contributions, "base_value": np.array([3.0, 4.0], dtype)}


RAW = np.array([2.0, 1_000_004.5])


def test_the_last_column_is_the_base_value() -> None:
    one = by_column(np.array([[1.0, 2.0, 9.0]]), 1)
    np.testing.assert_array_equal(one["contributions"], [[1, 2]])
    np.testing.assert_array_equal(one["base_value"], [9])


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 6)], ids=["xgboost", "lightgbm"])
def test_outputs_come_last(shape: tuple[int, ...]) -> None:
    two = by_column(np.arange(6.0).reshape(shape), 2)
    np.testing.assert_array_equal(two["contributions"], [[[0, 3], [1, 4]]])
    np.testing.assert_array_equal(two["base_value"], [[2, 5]])


@given(st.integers(1, 5), st.integers(1, 6), st.integers(2, 4))
def test_no_number_is_lost(rows: int, columns: int, outputs: int) -> None:
    flat = np.random.default_rng(0).normal(size=(rows, outputs, columns + 1))
    split = by_column(flat, outputs)
    assert split["contributions"].shape == (rows, columns, outputs)
    np.testing.assert_allclose(split["contributions"].sum(axis=1) + split["base_value"], flat.sum(axis=2))


def test_sums_are_compared_but_for_rounding() -> None:
    assert adds_up(explained(), RAW)
    assert adds_up(explained(dtype="float32"), RAW.astype(np.float32))
    assert adds_up(explained(1 + 1e-12), RAW)
    assert not adds_up(explained(1 + 1e-6), RAW)
    assert not adds_up(explained(np.nan), RAW)
    assert not adds_up(explained(), RAW[:1])
    assert not adds_up(explained(), RAW[:, None])


def test_proved(caplog: pytest.LogCaptureFixture) -> None:
    assert proved(explained, lambda: RAW) == (
        TensorSpec("contributions", "FP64", (-1, 2)),
        TensorSpec("base_value", "FP64", (-1,)),
    )
    assert proved(explained, lambda: RAW + 1) == ()
    assert "do not add up" in caplog.text
    caplog.set_level("DEBUG")
    assert proved(lambda: {"contributions": 1 / 0}, lambda: RAW) == ()
    assert "division by zero" in caplog.text
