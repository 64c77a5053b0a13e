"""A direct function is compared with the estimator to the last bit, on rows that are always the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.base import Array
from adapters.sklearn_.direct import proof
from adapters.sklearn_.direct.proof import BRIEF, THOROUGH, differs, made_up, near

ROWS = np.array([[1.0, 2.0], [3.0, 0.0]])


def ordinary(rows: Array) -> Array:
    return rows * 2


def refusing(error: Exception) -> Callable[[Any], Any]:
    def refuse(rows: Any) -> Any:
        raise error

    return refuse


def compared(direct: Callable[[Any], Any], estimator: Callable[[Any], Any] = ordinary, *batches: Any) -> str:
    return differs(direct, estimator, iter([rows.copy() for rows in batches or (ROWS,)]))


def test_the_same_bits_are_no_difference() -> None:
    assert compared(ordinary) == ""
    assert compared(lambda rows: rows + rows) == ""


@pytest.mark.parametrize(
    ("direct", "words"),
    [
        (lambda rows: np.nextafter(rows * 2, 9.0), "the direct one gives answer <f8 ((2, 2),) for answer <f8 "),
        (lambda rows: (rows * 2).astype(np.float32), "gives answer <f4 ((2, 2),) for answer <f8 ((2, 2),), of 2 rows"),
        (lambda rows: rows[:1] * 2, "gives answer <f8 ((1, 2),) for answer <f8 ((2, 2),), of 2 rows"),
        (lambda rows: np.asfortranarray(rows * 2), "the direct one gives answer"),
        (refusing(IndexError("none")), "gives refusal IndexError ('none',) for answer <f8 ((2, 2),), of 2 rows"),
        (lambda rows: 3, "gives other int for answer <f8 ((2, 2),), of 2 rows"),
    ],
    ids=["one bit", "type", "shape", "order", "refusal", "no array"],
)
def test_a_difference_is_named(direct: Callable[[Any], Any], words: str) -> None:
    assert words in compared(direct)


def test_the_sign_of_zero_and_the_bits_of_nan_count() -> None:
    zeros = np.zeros((1, 1))
    assert compared(lambda rows: -rows, lambda rows: rows, zeros) != ""
    assert compared(lambda rows: rows + math.nan, lambda rows: rows + math.nan, zeros) == ""


def test_labels_that_are_objects_are_compared_as_such() -> None:
    def labels(*values: Any) -> Callable[[Any], Any]:
        return lambda rows: np.array(values, object)

    assert compared(labels("a", "b"), labels("a", "b")) == ""
    assert compared(labels("a", "c"), labels("a", "b")) != ""


def test_a_refusal_in_other_words_is_a_difference() -> None:
    assert compared(refusing(ValueError("a")), refusing(ValueError("b")), ROWS) == (
        "the direct one gives refusal ValueError ('a',) for refusal ValueError ('b',), of 2 rows"
    )
    assert "refusal TypeError" in compared(refusing(TypeError("a")), refusing(ValueError("a")), ROWS)


def test_what_refuses_everything_alike_proves_nothing() -> None:
    refuse = refusing(ValueError("a"))
    assert compared(refuse, refuse, ROWS, ROWS) == "the estimator refuses every row made up for it"
    assert compared(ordinary, ordinary) == ""
    assert differs(ordinary, ordinary, iter(())) == "the estimator refuses every row made up for it"

    def choosy(rows: Array) -> Array:
        if rows[0, 0] < 0:
            raise ValueError("negative")
        return rows

    assert compared(choosy, choosy, -ROWS, ROWS) == ""
    assert compared(choosy, choosy, ROWS, -ROWS) == ""


def test_an_estimator_that_answers_no_array_has_no_direct_path() -> None:
    assert compared(lambda rows: [1], lambda rows: [1]) == "the estimator answers a list"


def test_an_estimator_that_writes_into_its_input_leaves_the_direct_ones_alone() -> None:
    def writes(rows: Array) -> Array:
        rows *= 2
        return rows

    assert compared(ordinary, writes) == ""


def test_what_numpy_warns_of_is_of_no_interest() -> None:
    def divides(rows: Array) -> Array:
        return rows / 0.0

    with np.errstate(all="raise"):
        assert compared(divides, divides) == ""


def test_made_up_rows_are_always_the_same_and_of_every_size() -> None:
    first, again = (list(made_up(3, np.ones((2, 3)), THOROUGH, nan=True)) for _ in range(2))
    assert [rows.tobytes() for rows in first] == [rows.tobytes() for rows in again]
    assert [len(rows) for rows in first] == [1, 2, 7, 128, 7, 128, 7, 9]
    assert {(rows.shape[1], rows.dtype.name, rows.flags.c_contiguous) for rows in first} == {(3, "float64", True)}


def test_only_who_takes_missing_values_gets_some() -> None:
    plain = list(made_up(3, None, THOROUGH, nan=False))
    assert [len(rows) for rows in plain] == [1, 2, 7, 128, 7, 9]
    assert all(np.isfinite(rows).all() for rows in plain)
    with_nan = list(made_up(3, None, BRIEF, nan=True))
    assert [bool(np.isnan(rows).any()) for rows in with_nan] == [False, True, False, False]
    assert not np.isnan(with_nan[1]).all()


def test_rows_lie_on_the_landmarks_and_beside_them() -> None:
    landmarks = np.array([[0.1, 1000.0], [7.7, -1000.0]])
    rows = next(made_up(2, landmarks, BRIEF, nan=False))
    for index in range(2):
        own = landmarks[:, index]
        beside = [np.nextafter(own, np.inf), np.nextafter(own, -np.inf)]
        beside.append(np.nextafter(own.astype(np.float32), np.float32(np.inf)).astype(np.float64))
        for values in (own, *beside):
            assert set(values) & set(rows[:, index])
        assert not set(landmarks[:, 1 - index]) & set(rows[:, index])


def test_rows_near_the_landmarks_come_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    landmarks = np.array([[0.1, 1000.0], [7.7, -1000.0]])
    alone = list(near(2, landmarks, {5, 64}))
    assert [rows.tobytes() for rows in alone] == [
        rows.tobytes() for rows in list(made_up(2, landmarks, {5, 64}, nan=False))[:2]
    ]
    monkeypatch.setattr(proof, "_KEPT_VALUES", 0)  # none is kept
    assert [rows.tobytes() for rows in near(2, landmarks, {5, 64})] == [rows.tobytes() for rows in alone]


def test_draws_that_are_kept_stay_as_they_are() -> None:
    first = next(near(2, np.ones((1, 2)), BRIEF))
    before = first.tobytes()
    first[:] = 7.0
    assert next(near(2, np.ones((1, 2)), BRIEF)).tobytes() == before


def test_landmarks_that_are_no_numbers_are_left_out() -> None:
    for landmarks in (np.array([[math.inf, math.nan]]), np.zeros((0, 2))):
        for rows in made_up(2, landmarks, BRIEF, nan=False):
            assert np.isfinite(rows).all()


def test_extremes_are_among_the_rows() -> None:
    extreme, small = list(made_up(40, None, BRIEF, nan=False))[-2:]
    assert {1.7e308, -1e300, 5e-324} <= set(extreme.ravel())
    assert np.abs(small).max() == 1e30
    assert not small[:2].any()


def test_a_wide_model_gets_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_MOST_VALUES", 17)
    assert [len(rows) for rows in made_up(4, None, THOROUGH, nan=False)] == [1, 2, 4, 7, 9]
    assert [len(rows) for rows in made_up(18, None, THOROUGH, nan=True)] == [1, 1, 7, 9]
