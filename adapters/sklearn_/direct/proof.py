"""Compares a direct function with the estimator itself on rows made up for it: not a bit may differ.

So no other version of scikit-learn, of numpy or of BLAS can change an answer: where their arithmetic is not what the
plan says, the ordinary path is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from adapters.base import Array

__all__ = ["BRIEF", "THOROUGH", "differs", "made_up", "near"]

#: rows of the batches, each of which costs a call of the estimator however few they are
THOROUGH = (1, 2, 7, 128)
BRIEF = (128,)  #: where the parts, or another method, were proved at length
_WITH_NAN = 7  #: rows, and the largest batch: of fewer rows there may be none whose values are missing
_MOST_VALUES = 2**20  #: of one batch; wide models get fewer rows
_KEPT_VALUES = 2**13  #: of a batch whose draws are kept
_WAYS = 7  #: of `_near`
_SEED = 7
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


def made_up(width: int, landmarks: Array | None, sizes: Collection[int], *, nan: bool) -> Iterator[Array]:
    """Batches of these many rows, always the same ones: on and near the landmarks, random, with NaN, and extreme."""
    rng = np.random.default_rng(_SEED)
    sizes = _bounded(sizes, width)
    yield from near(width, landmarks, sizes)
    for size in sizes if nan else ():
        if size in (_WITH_NAN, sizes[-1]):
            rows = _near(_Draws.of(size, width, landmarks), landmarks)
            rows[rng.random(rows.shape) < 0.3] = np.nan
            yield rows
    yield rng.choice(_EXTREMES, (7, width))
    small = rng.choice(_EXTREMES[:7], (9, width))
    small[:2] = 0.0
    yield small


def near(width: int, landmarks: Array | None, sizes: Collection[int]) -> Iterator[Array]:
    """Those of them that are on and near the landmarks, and random."""
    for size in _bounded(sizes, width):
        yield _near(_Draws.of(size, width, landmarks), landmarks)


def _bounded(sizes: Collection[int], width: int) -> list[int]:
    return sorted({min(size, max(1, _MOST_VALUES // width)) for size in sizes})


class _Draws(NamedTuple):
    """What is drawn by chance for a batch of [size, width] values."""

    chosen: Array  #: for each value a landmark of its column, by its number
    way: Array  #: and what is made of it
    step: Array
    plain: Array
    anything: Array

    @classmethod
    def of(cls, size: int, width: int, landmarks: Array | None) -> _Draws:
        """Kept of small batches: to draw them takes as long as to ask a small model."""
        draw = _kept_draws if size * width <= _KEPT_VALUES else _drawn
        return draw(size, width, 0 if landmarks is None else len(landmarks))


def _drawn(size: int, width: int, landmarks: int) -> _Draws:
    rng, shape = np.random.default_rng((_SEED, size)), (size, width)
    return _Draws(
        rng.integers(0, max(1, landmarks), shape),
        rng.integers(0, _WAYS, shape),
        rng.normal(size=shape),
        rng.choice(np.array([0.0, -0.0, 1.0, -1.0, 0.5, 3.0]), shape),
        rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, size=shape),
    )


_kept_draws = lru_cache(maxsize=16)(_drawn)


def _near(draws: _Draws, landmarks: Array | None) -> Array:
    """Each value one of its column's landmarks, or the number next to it, or a step away, or plain, or anything."""
    if landmarks is None or not landmarks.size:
        return np.where(draws.way % 2, draws.plain + draws.step, draws.anything)
    values = landmarks[draws.chosen, np.arange(draws.chosen.shape[1])].astype(np.float64)
    ways = [
        values,
        np.nextafter(values, np.inf),
        np.nextafter(values, -np.inf),
        np.nextafter(values.astype(np.float32), np.float32(np.inf)).astype(np.float64),
        values + draws.step,
        draws.plain,
        draws.anything,
    ]
    rows: Array = np.choose(draws.way, ways)
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
