"""Scalers and their like, element by element."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapters.sklearn_.direct.plan import OrdinaryRows, Plan
from adapters.sklearn_.direct.scaling import BUILDERS

ROWS = np.array([[1.0, -2.0], [3.0, math.nan]])
CENTER, SCALE = np.array([1.0, 2.0]), np.array([2.0, 4.0])
NAN = math.nan


def maybe(name: str, method: str = "transform", **parts: Any) -> Plan | None:
    path = next(path for path in BUILDERS if path.endswith(f".{name}"))
    return BUILDERS[path](SimpleNamespace(**parts), method)


def built(name: str, **parts: Any) -> Plan:
    plan = maybe(name, **parts)
    assert plan is not None
    return plan


def values(plan: Plan, rows: Any = ROWS) -> list[Any]:
    """What the kernel answers, as a list in which NaN is None."""
    before = rows.tobytes()
    found = plan.kernel(rows)
    assert rows.tobytes() == before
    assert not np.shares_memory(found, rows)
    return [[None if math.isnan(value) else value for value in row] for row in found.tolist()]


def marks(plan: Plan) -> list[Any] | None:
    return None if plan.landmarks is None else plan.landmarks.tolist()


@pytest.mark.parametrize(
    ("centered", "scaled", "expected", "landmarks"),
    [
        (True, True, [[0.0, -1.0], [1.0, None]], [[1.0, 2.0], [3.0, 6.0], [-1.0, -2.0]]),
        (True, False, [[0.0, -4.0], [2.0, None]], [[1.0, 2.0]]),
        (False, True, [[0.5, -0.5], [1.5, None]], [[2.0, 4.0]]),
        (False, False, [[1.0, -2.0], [3.0, None]], None),
    ],
)
def test_what_is_centered_and_scaled(centered: bool, scaled: bool, expected: Any, landmarks: Any) -> None:
    standard = built("StandardScaler", mean_=CENTER, scale_=SCALE, with_mean=centered, with_std=scaled)
    robust = built("RobustScaler", center_=CENTER, scale_=SCALE, with_centering=centered, with_scaling=scaled)
    for plan in (standard, robust):
        assert values(plan) == expected
        assert marks(plan) == landmarks


@pytest.mark.parametrize(
    ("clip", "expected"), [(False, [[2.5, -8.5], [6.5, None]]), (True, [[2.5, -1.0], [3.0, None]])]
)
def test_a_range_is_stretched_and_clipped(clip: bool, expected: Any) -> None:
    plan = built(
        "MinMaxScaler",
        scale_=SCALE,
        min_=np.array([0.5, -0.5]),
        clip=clip,
        feature_range=(-1, 3),
        data_min_=np.array([-7.0, -8.0]),
        data_max_=np.array([7.0, 8.0]),
    )
    assert values(plan) == expected
    assert marks(plan) == [[-7.0, -8.0], [7.0, 8.0]]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"clip": False}, [[0.5, -0.5], [1.5, None]]),
        ({"clip": True}, [[0.5, -0.5], [1.0, None]]),
        ({}, [[0.5, -0.5], [1.5, None]]),
    ],
    ids=str,
)
def test_the_largest_becomes_one(settings: Any, expected: Any) -> None:
    plan = built("MaxAbsScaler", scale_=SCALE, **settings)
    assert values(plan) == expected
    assert values(plan, np.array([[-9.0, 9.0]])) == ([[-1.0, 1.0]] if settings.get("clip") else [[-4.5, 2.25]])
    assert marks(plan) == [[2.0, 4.0], [-2.0, -4.0]]


@pytest.mark.parametrize(
    ("norm", "expected"), [("l1", [[3 / 7, -4 / 7]]), ("l2", [[0.6, -0.8]]), ("max", [[0.75, -1.0]])]
)
def test_rows_become_of_length_one(norm: str, expected: Any) -> None:
    plan = built("Normalizer", norm=norm)
    assert values(plan, np.array([[3.0, -4.0]])) == expected
    for short in (0.0, 1e-10):
        with pytest.raises(OrdinaryRows):
            plan.kernel(np.array([[3.0, -4.0], [short, 0.0]]))


def imputer(**parts: Any) -> dict[str, Any]:
    float64 = np.dtype(np.float64)
    known = {"statistics_": CENTER, "missing_values": NAN, "add_indicator": False, "_fill_dtype": float64}
    return {**known, **parts}


def test_missing_values_are_filled() -> None:
    plan = built("SimpleImputer", **imputer())
    assert values(plan) == [[1.0, -2.0], [3.0, 2.0]]
    assert values(plan, np.array([[NAN, math.inf]])) == [[1.0, math.inf]]
    assert marks(plan) == [[1.0, 2.0]]


@pytest.mark.parametrize(
    "odd",
    [
        {"missing_values": 0.0},
        {"missing_values": None},
        {"add_indicator": True},
        {"statistics_": np.array([1.0, NAN])},
        {"statistics_": np.array([1, 2])},
        {"_fill_dtype": np.dtype(object)},
    ],
    ids=str,
)
def test_an_imputer_of_anything_else_has_no_plan(odd: dict[str, Any]) -> None:
    assert maybe("SimpleImputer", **imputer(**odd)) is None


@pytest.mark.parametrize(("whiten", "expected"), [(False, [[0.0, -4.0]]), (True, [[0.0, -4.0 / 1e-8]])])
def test_rows_are_projected_onto_the_components(whiten: bool, expected: Any) -> None:
    parts = {"components_": np.array([[0.0, 1.0], [1.0, 0.0]]), "mean_": np.array([5.0, 7.0]), "whiten": whiten}
    plan = built("PCA", explained_variance_=np.array([4.0, 1e-16]), **parts)
    assert plan.kernel(np.array([[1.0, 7.0]])) == pytest.approx(np.array(expected))
    assert marks(plan) == [[5.0, 7.0], [0.0, 1.0], [1.0, 0.0]]


def test_a_variance_of_nothing_divides_by_the_least_step() -> None:
    variance = np.zeros(1)
    plan = built("PCA", components_=np.eye(1), mean_=np.zeros(1), whiten=True, explained_variance_=variance)
    assert plan.kernel(np.array([[1.0]])).tolist() == [[1 / np.finfo(np.float64).eps]]
    assert variance.tolist() == [0.0]


def test_only_transforming_is_direct() -> None:
    parts = {"mean_": CENTER, "scale_": SCALE, "with_mean": True, "with_std": True}
    assert maybe("StandardScaler", "inverse_transform", **parts) is None
    assert [maybe(path.rpartition(".")[2], "predict") for path in BUILDERS] == [None] * 7
