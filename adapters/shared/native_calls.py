"""A framework's C function in the place of its Python method: what such calls need, and the proof that the bits agree.

`Pool` lends each call what it writes to, `freed` lets go of what C has made, `address` is where its values are,
`rows_like` makes up rows, and `proved` takes the C function where it agrees on them. Whoever calls C checks dtype,
shape and order first: C reads what it is told is there.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from adapters.base import Array

__all__ = ["Pool", "Predict", "address", "differs", "freed", "proved", "rows_like"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
Predict: TypeAlias = Callable[[Array], Array]  #: rows in, answers out

_SIZES = (1, 2, 9, 64)  #: rows of a batch
_WIDEST = 2**20  #: values of a batch; wide models get fewer rows
_EXTREMES = (0.0, -0.0, 1e-45, -1e-45, 1e-30, -1e-30, 1e30, -1e30, 3.4e38, -3.4e38)


class Pool(Generic[T]):
    """Things that serve one call at a time each: as many as there were calls at once. Any thread may take one."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._free: list[T] = []

    def take(self) -> T:
        """One that nobody else has until it is put back."""
        try:
            return self._free.pop()  # which no other thread can come between
        except IndexError:
            return self._make()

    def put(self, thing: T) -> None:
        self._free.append(thing)


def freed(owner: object, free: Callable[[Any], Any], handle: Any) -> None:
    """Call `free(handle)` once the owner is gone, before what the owner refers to; not as the process ends."""
    weakref.finalize(owner, free, handle).atexit = False


def address(array: Array) -> int:
    """Where its values begin."""
    found: int = array.__array_interface__["data"][0]
    return found


def rows_like(
    width: int, dtype: type[np.floating[Any]], categories: Mapping[int, int] | None = None, *, infinite: bool = False
) -> Iterator[Array]:
    """Batches [rows, width], always the same ones: plain, large, missing and extreme values, and codes of categories.

    `categories` are column -> how many codes it has. `infinite`: the model takes infinities.
    """
    rng = np.random.default_rng(7)
    for size in sorted({min(size, max(1, _WIDEST // width)) for size in _SIZES}):
        shape = (size, width)
        anything = rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, size=shape)
        rare = np.array([*_EXTREMES, np.nan, *([np.inf, -np.inf] if infinite else ())])
        for rows in (anything, np.where(rng.random(shape) < 0.4, rng.choice(rare, shape), anything)):
            for column, count in (categories or {}).items():
                codes = rng.integers(0, count, size).astype(np.float64)
                rows[:, column] = np.where(rng.random(size) < 0.2, np.nan, codes)
            yield rows.astype(dtype)
    yield np.full((1, width), np.nan, dtype)


def differs(quick: Callable[[Array], Any], ordinary: Callable[[Array], Any], batches: Iterable[Array]) -> str:
    """How the two differ on the batches; "" where every answer has the same bits, dtype and shape, and every refusal
    the same words."""
    for rows in batches:
        expected, found = _outcome(ordinary, rows.copy()), _outcome(quick, rows)
        if expected != found:
            return f"{len(rows)} rows: {expected[:3]} by the framework, {found[:3]} by its C function"
    return ""


def proved(
    name: str, make: Callable[[], Predict], ordinary: Predict, batches: Callable[[], Iterable[Array]]
) -> Predict:
    """What `make` prepares, if it gives the same bits as `ordinary` on the batches, else `ordinary`.

    `name` is how the log calls the C function.
    """
    try:
        quick = make()
        difference = differs(quick, ordinary, batches())
    except Exception as error:  # another version than those that this was written for
        difference = f"{type(error).__name__}: {error}"
    if not difference:
        return quick
    logger.debug("%s is not called by itself: %s", name, difference)
    return ordinary


def _outcome(function: Callable[[Array], Any], rows: Array) -> tuple[Any, ...]:
    try:
        answer = function(rows)
    except Exception as error:  # whatever the framework raises is its answer
        return type(error).__name__, str(error)
    return answer.dtype.str, answer.shape, answer.flags.writeable, answer.tobytes()
