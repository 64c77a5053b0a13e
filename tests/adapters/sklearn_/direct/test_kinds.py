"""Which estimators are of one kind: all that decides how it is calculated, and no measured number."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn import linear_model, pipeline, preprocessing

from adapters.sklearn_.direct import kinds
from adapters.sklearn_.direct.kinds import is_proved, kind_of, remember

ROWS = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, 3.0], [3.0, 2.0]])
LABELS = np.array([0, 1, 2, 1])


def logistic(rows: Any = ROWS, labels: Any = LABELS, **settings: Any) -> Any:
    return linear_model.LogisticRegression(**{"max_iter": 500, **settings}).fit(rows, labels)


def scaled(**settings: Any) -> Any:
    return pipeline.make_pipeline(preprocessing.StandardScaler(**settings), logistic()).fit(ROWS, LABELS)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (logistic, lambda: logistic(ROWS[::-1], LABELS[::-1]), True),
        (logistic, lambda: logistic(C=2.0), True),
        (logistic, lambda: logistic(random_state=3), True),
        (logistic, lambda: logistic(fit_intercept=False), False),
        (logistic, lambda: logistic(labels=LABELS == 1), False),
        (logistic, lambda: logistic(labels=LABELS.astype(np.int32)), False),
        (logistic, lambda: logistic(ROWS[:, :1]), False),
        (scaled, logistic, False),
        (scaled, lambda: scaled(with_mean=False), False),
    ],
    ids=[
        "other rows",
        "another number",
        "another seed",
        "a setting",
        "fewer classes",
        "other labels",
        "fewer features",
        "a pipeline",
        "a step's setting",
    ],
)
def test_a_kind_is_what_decides_how_it_is_calculated(
    one: Callable[[], Any], other: Callable[[], Any], same: bool
) -> None:
    assert (kind_of(one()) == kind_of(other())) is same
    assert hash(kind_of(one())) == hash(kind_of(one()))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (0.5, 0.7, True),
        (1, 2, False),
        (1, True, False),
        ("a", "b", False),
        (None, 0.5, False),
        (np.float64(1), np.float64(2), True),
        (np.int64(1), np.int64(2), False),
        (int, float, False),
        ([1.0, 2.0], [3.0, 4.0], True),
        ([1.0, 2.0], [3.0], False),
        ([1.0], (1.0,), False),
        ([1, "a"], ["a", 1], True),  # the layouts of parts, in whatever order
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 0.1}, {"a": 0.2}, True),
        (np.zeros((2, 3)), np.ones((2, 3)), True),
        (np.zeros((2, 3)), np.zeros((3, 2)), False),
        (np.zeros((2, 3)), np.zeros((2, 3), np.float32), False),
        (np.zeros((2, 3)), np.zeros((2, 3), order="F"), False),
        (np.zeros((2, 6)), np.zeros((2, 12))[:, ::2], False),
        (SimpleNamespace(a=1, random_state=1), SimpleNamespace(a=1, random_state=2), True),
        (SimpleNamespace(a=1, n_samples_seen_=np.int64(9)), SimpleNamespace(a=1, n_samples_seen_=np.int64(8)), True),
        (SimpleNamespace(a=1), SimpleNamespace(a=2), False),
    ],
)
def test_numbers_are_left_out_and_all_else_counts(one: Any, other: Any, same: bool) -> None:
    assert (kind_of(one) == kind_of(other)) is same
    hash(kind_of(one))


def test_what_is_deep_or_in_a_circle_ends() -> None:
    circle: list[Any] = []
    circle.append(circle)
    hash(kind_of(circle))
    holder = SimpleNamespace()
    holder.itself = holder
    hash(kind_of(holder))
    assert kind_of({"a": [1]}, 1) == kind_of({"a": ["a"]}, 1)
    assert kind_of({"a": [1]}, 2) != kind_of({"a": ["a"]}, 2)
    assert kind_of([[1]], 1) == kind_of([["a"]], 1)
    assert kind_of([[1]], 2) != kind_of([["a"]], 2)


def test_a_kind_is_remembered_by_its_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_PROVED", set())
    kind = kind_of(logistic())
    assert not is_proved(kind, "predict")
    remember(kind, "predict")
    assert is_proved(kind_of(logistic(C=3.0)), "predict")
    assert not is_proved(kind, "predict_proba")
    assert not is_proved(kind_of(scaled()), "predict")
