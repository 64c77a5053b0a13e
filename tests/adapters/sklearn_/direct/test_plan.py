"""The arithmetic that the families share, against the same in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.utils.extmath import softmax as ordinary_softmax

from adapters.base import Array
from adapters.sklearn_.direct.plan import Plan, chosen, classifier, is_finite, sequential_sum, softmax, two_classes


def test_a_plan_is_chosen_by_its_method() -> None:
    landmarks = np.zeros((1, 2))
    plan = chosen({"predict": np.sin, "transform": np.cos}, "transform", landmarks)
    assert isinstance(plan, Plan)
    assert plan.kernel is np.cos
    assert plan.landmarks is landmarks
    assert chosen({"predict": np.sin}, "transform") is None


def test_landmarks_may_wait_until_they_are_asked_for() -> None:
    asked: list[int] = []
    plan = Plan(np.sin, lambda: np.full((1, 2), len(asked)))
    asked.append(1)
    assert plan.landmarks is not None
    assert plan.landmarks.tolist() == [[1.0, 1.0]]


def test_a_classifier_says_the_class_that_is_the_most_probable() -> None:
    probabilities = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.0, 0.0, 1.0]])
    kernels = classifier(lambda rows: probabilities[: len(rows)], np.array(["a", "b", "c"]))
    assert list(kernels) == ["predict", "predict_proba", "predict_log_proba"]
    rows = np.zeros((3, 1))
    assert kernels["predict"](rows).tolist() == ["b", "a", "c"]  # the first of equals
    assert kernels["predict_proba"](rows).tolist() == probabilities.tolist()
    with np.errstate(divide="ignore"):
        logarithms = kernels["predict_log_proba"](rows)
    assert logarithms[2].tolist() == [-math.inf, -math.inf, 0.0]
    assert logarithms[0, 1] == pytest.approx(math.log(0.5))


@pytest.mark.parametrize(
    ("values", "finite", "or_missing"),
    [
        ([0.0, -1.7e308], True, True),
        ([1.0, math.nan], False, True),
        ([1.0, math.inf], False, False),
        ([-math.inf, math.nan], False, False),
        ([], True, True),
    ],
    ids=str,
)
def test_which_rows_are_finite(values: list[float], finite: bool, or_missing: bool) -> None:
    assert is_finite(np.array(values)) is finite
    assert is_finite(np.array(values), nan=True) is or_missing


@pytest.mark.parametrize("shape", [(1,), (2,), (3, 1), (1, 4), (64, 3), (65, 1, 2)], ids=str)
@pytest.mark.parametrize("terms", [1, 2, 7, 8, 9, 127, 129, 1000])
def test_sums_are_those_of_a_loop(shape: tuple[int, ...], terms: int) -> None:
    rng = np.random.default_rng(terms)
    values = rng.normal(size=(terms, *shape)) * 10.0 ** rng.integers(-8, 8, (terms, *shape))
    values[:, ..., 0] *= rng.integers(2)
    total = np.zeros(shape)
    for term in values:
        total += term
    assert sequential_sum(values).tobytes() == total.tobytes()
    assert sequential_sum(np.full((terms, *shape), -0.0)).tobytes() == np.zeros(shape).tobytes()


def test_softmax_is_in_place_and_survives_large_scores() -> None:
    scores = np.array([[0.0, math.log(3.0)], [1e308, 1e308], [-1e300, 0.0]])
    expected = ordinary_softmax(scores.copy())
    found = softmax(scores)
    assert found is scores
    assert found.tobytes() == expected.tobytes()
    assert found[0].tolist() == pytest.approx([0.25, 0.75])
    assert found[1:].tolist() == [[0.5, 0.5], [0.0, 1.0]]


def test_two_classes_share_one_probability() -> None:
    found: Array = two_classes(np.array([0.25, 1.0]))
    assert found.tolist() == [[0.75, 0.25], [0.0, 1.0]]
