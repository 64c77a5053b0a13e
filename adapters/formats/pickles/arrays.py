"""How a pickle may make and fill arrays: numpy believes what a state says of an array's memory."""

from __future__ import annotations

import math
import operator
from functools import cache
from typing import Any

import numpy as np

from adapters.formats.pickles.policy import strange

__all__ = ["ArrayKind", "check_fill", "create_array", "empty", "empty_masked", "kind_of"]


class ArrayKind:
    """Stands for a class of arrays, which a pickle names to have one rebuilt, and which is for nothing else.

    Whoever holds the class itself may have it called by an estimator, and it makes arrays of objects of plain bytes.
    """

    def __init__(self, cls: type[np.ndarray[Any, Any]]) -> None:
        self.cls = cls
        self.__module__, self.__qualname__ = cls.__module__, cls.__qualname__  # as messages show it


@cache
def kind_of(cls: Any) -> ArrayKind:
    """The one that stands for a class."""
    return ArrayKind(cls)


def empty(kind: Any, shape: Any, dtype: Any) -> Any:
    """`numpy._core.multiarray._reconstruct`: an array that its state will fill; a larger one could take any memory."""
    if not isinstance(kind, ArrayKind) or shape != (0,):
        raise strange("makes an array before it says of what")
    return np.ndarray.__new__(kind.cls, shape, dtype)


def empty_masked(kind: Any, base: Any, shape: Any, dtype: Any) -> Any:
    """`numpy.ma.core._mareconstruct`."""
    if not isinstance(kind, ArrayKind) or not issubclass(kind.cls, np.ma.MaskedArray):
        raise strange("makes an array before it says of what")
    data, mask = empty(base, shape, dtype), np.ndarray.__new__(np.ndarray, (0,), "?")
    return np.ma.MaskedArray.__new__(kind.cls, data, mask=mask, dtype=dtype)


def create_array(make: Any, args: Any, state: Any, attributes: Any = None) -> Any:
    """`dill._dill._create_array`: an array of numpy's, and at once its state."""
    if make is not empty or not isinstance(args, tuple) or attributes:
        raise strange("makes an array by what makes none")
    array = empty(*args)
    check_fill(array, state)
    array.__setstate__(state)
    return array


def check_fill(array: np.ndarray[Any, Any], state: Any) -> None:
    """Check a state that is about to fill an array.

    numpy takes as many objects from the state's list as the array has places, and does not ask how many there are:
    behind the list's end it finds other memory, and calls it objects.

    Raises:
        Refused: the array is filled already, or the state has another number of objects than places for them.
    """
    if array.size:  # its memory, which others may read by then, would be given back
        raise strange("fills an array twice")
    lists = [part for part in state if isinstance(part, list)]
    shapes = [part for part in state if isinstance(part, tuple)]
    if lists and not (shapes and all(len(objects) == _places(shapes[0]) for objects in lists)):
        raise strange("fills an array with another number of objects than it has places")


def _places(shape: tuple[Any, ...]) -> int:
    return math.prod(operator.index(length) for length in shape)
