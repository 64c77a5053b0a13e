"""Compares a direct function with the estimator itself on rows made up for it: not a bit may differ.

So no other version of scikit-learn, of numpy or of BLAS can change an answer: where their arithmetic is not what the
plan says, the ordinary path is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from adapters.base import Array

__all__ = ["differs", "made_up"]

_SIZES = (1, 2, 7, 64)
_MOST_VALUES = 2**20  #: of one batch; wide models get fewer rows
_EXTREMES = np.array([0.0, -0.0, 1e-300, -1e-300, 5e-324, 1e30, -1e30, 1e300, -1e300, 1.7e308])


def differs(direct: Callable[[Any], Any], ordinary: Callable[[Any], Any], batches: Iterator[Any]) -> str:
    """How the two differ on the batches; "" where they are equal on all, and have answered one at least."""
    answered = False
    with np.errstate(all="ignore"):
        for rows in batches:
            untouched = rows.copy()
            expected, found = _outcome(ordinary, untouched), _outcome(direct, rows)
            if expected[0] == "other":
                return f"the estimator answers a {expected[1]}"
            if expected != found:
                return f"the direct one gives {_brief(found)} for {_brief(expected)}, of {np.shape(rows)[0]} rows"
            answered = answered or expected[0] == "answer"
    return "" if answered else "the estimator refuses every row made up for it"


def made_up(width: int, landmarks: Array | None, turns: tuple[int, ...], *, nan: bool) -> Iterator[Array]:
    """Batches of rows, always the same ones: near the landmarks, on them, random, with NaN, and extreme."""
    rng = np.random.default_rng(7)
    for size in sorted({*_SIZES, *turns} - {0}):
        size = min(size, max(1, _MOST_VALUES // width))
        yield _near(rng, size, width, landmarks)
        yield rng.normal(size=(size, width)) * 10.0 ** rng.integers(-3, 4, size=(size, width))
    if nan:
        for size in _SIZES:
            rows = _near(rng, size, width, landmarks)
            rows[rng.random(rows.shape) < 0.3] = np.nan
            yield rows
    yield np.zeros((3, width))
    yield rng.choice(_EXTREMES, (7, width))
    yield rng.choice(_EXTREMES[:7], (7, width))


def _near(rng: np.random.Generator, size: int, width: int, landmarks: Array | None) -> Array:
    """Each value one of its column's landmarks, or the number next to it, or a step away, or one of the plainest."""
    plain = rng.choice(np.array([0.0, -0.0, 1.0, -1.0, 0.5, 3.0]), (size, width))
    if landmarks is None or not landmarks.size:
        return plain + rng.normal(size=(size, width))
    values = landmarks[rng.integers(0, len(landmarks), (size, width)), np.arange(width)].astype(np.float64)
    ways = [
        values,
        np.nextafter(values, np.inf),
        np.nextafter(values, -np.inf),
        np.nextafter(values.astype(np.float32), np.float32(np.inf)).astype(np.float64),
        values + rng.normal(size=values.shape),
        plain,
    ]
    rows: Array = np.choose(rng.integers(0, len(ways), values.shape), ways)
    return np.where(np.isfinite(rows), rows, 0.0)


def _outcome(function: Callable[[Any], Any], rows: Any) -> tuple[Any, ...]:
    """All that a caller can see of an answer or of a refusal, in a form that can be compared."""
    try:
        answer = function(rows)
    except Exception as error:  # whatever the estimator raises is its answer
        return "refusal", type(error).__name__, str(error)
    if not isinstance(answer, np.ndarray):
        return "other", type(answer).__name__
    bits = answer.tolist() if answer.dtype.hasobject else answer.tobytes()
    return "answer", answer.dtype.str, answer.shape, answer.flags.c_contiguous, answer.flags.f_contiguous, bits


def _brief(outcome: tuple[Any, ...]) -> str:
    return f"{outcome[0]} {outcome[1]} {str(outcome[2:3] or '')[:100]}".strip()
