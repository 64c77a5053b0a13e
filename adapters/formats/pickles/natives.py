"""Objects with memory of native code: which a pickle may make, and what such code takes on trust of their states.

Their `__new__` leaves memory that only a constructor or a state gives a meaning; what a state says of indices is
followed without a look. So few of their classes may be made at all, in the ways of their own pickles.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np

from adapters.formats.pickles.policy import strange

__all__ = [
    "array_backed",
    "check_makeable",
    "check_object_node",
    "check_sound",
    "holds_index",
    "new_index",
    "new_neighbours",
    "plain",
]

_HEAP_TYPE = 1 << 9  #: of a class's flags: made by a class statement, not by native code
_PLAIN = frozenset({"builtins", "collections"})  #: modules whose native classes hold values alone
_WITHOUT_MEMORY = frozenset({"IntervalMixin"})  #: native classes that add methods, and hold nothing
_NEIGHBOURS = frozenset({"sklearn.metrics._dist_metrics", "sklearn.neighbors._kd_tree", "sklearn.neighbors._ball_tree"})
#: how many numbers a generator keeps, of which its state tells the place of the next
_NUMBERS: Mapping[str, int] = {"MT19937": 624, "Philox": 4}


def plain(args: Iterable[Any]) -> tuple[Any, ...]:
    """Arguments to make something of; a range among them could ask for any amount of memory."""
    args = tuple(args)
    for arg in args:
        if isinstance(arg, range):
            raise strange("makes an object of a range")
    return args


def check_makeable(cls: Any) -> None:
    """Check that instances of a class may be made by its `__new__`.

    Raises:
        Refused: it is no class, or one of native code whose own pickles make them otherwise.
    """
    if type not in type(cls).__mro__:
        raise strange("makes an object of what is no class")
    if not _is_makeable(cls):
        raise strange(f"makes a {cls.__module__}.{cls.__qualname__} without what belongs into it")


def check_object_node(module: str, name: str) -> None:
    """Check that skops may make an object of this class, whose name the policy allows, by its `__new__`.

    Raises:
        Refused: it is one of native code, other than the trees and distances that skops writes so.
    """
    cls = getattr(importlib.import_module(module), name)
    if getattr(cls, "__module__", "") not in _NEIGHBOURS:
        check_makeable(cls)


@cache
def _is_makeable(cls: Any) -> bool:
    of_native = (base for base in cls.__mro__ if not base.__flags__ & _HEAP_TYPE)
    native = next(base for base in of_native if base.__name__ not in _WITHOUT_MEMORY)
    return (native.__module__ in _PLAIN or issubclass(cls, np.generic)) and not _is_index(cls)


@cache
def _is_index(cls: Any) -> bool:
    return any(base.__module__ == "pandas.core.indexes.base" and base.__name__ == "Index" for base in cls.__mro__)


def holds_index(value: Any) -> bool:
    """Whether it is an index of pandas', which is whole when it is made: its pickles bring no state."""
    cls: Any = type(value)
    return _is_index(cls)


def new_neighbours(cls: Any) -> Any:
    """`newObj` of scikit-learn's trees of neighbours and distances, for these alone."""
    if not isinstance(cls, type) or cls.__module__ not in _NEIGHBOURS:
        raise strange("makes no tree of neighbours by what makes them")
    made: Any = cls
    return made.__new__(made)


def new_index(cls: Any, attributes: Any) -> Any:
    """`pandas.core.indexes.base._new_Index`, which believes the codes of a MultiIndex: they are checked."""
    if not isinstance(cls, type) or not _is_index(cls) or type(attributes) is not dict:
        raise strange("makes no index by what makes them")
    made = importlib.import_module("pandas.core.indexes.base")._new_Index(cls, attributes)
    if made.__class__.__name__ == "MultiIndex":
        for codes, level in zip(made.codes, made.levels, strict=True):
            _check_codes(codes, level)
    return made


def array_backed(cls: Any, checksum: Any, state: Any) -> Any:
    """`pandas._libs.arrays.__pyx_unpickle_NDArrayBacked`, with an array from the first, and the state by a BUILD."""
    if state is not None:
        raise strange("makes an array of pandas' with its state")
    made = importlib.import_module("pandas._libs.arrays").__pyx_unpickle_NDArrayBacked(cls, checksum, None)
    made.__setstate__((np.dtype(object), np.empty(0, object), {}))  # without one native code reads wild memory
    return made


def check_sound(target: Any, state: Any) -> None:
    """Check what an object has by the state that it was given.

    Raises:
        Refused: native code would follow it out of its memory.
    """
    if type(target).__name__ == "Categorical":
        target.__setstate__((target.dtype, target._ndarray.copy(), {}))  # the file may go on to fill its own array
        _check_codes(target._ndarray, target.dtype.categories)
    elif isinstance(target, np.random.BitGenerator):
        _check_random(target, state)
    elif isinstance(target, np.random.RandomState):
        _check_random(target._bit_generator, state)
    elif isinstance(target, np.random.Generator):
        _check_random(target.bit_generator, state)


def _check_codes(codes: Any, categories: Any) -> None:
    if not holds_index(categories):
        raise strange("names categories otherwise than in an index")
    if codes.dtype.kind != "i" or (codes.size and (codes.min() < -1 or codes.max() >= len(categories._values))):
        raise strange("holds a code of no category")


def _check_random(generator: Any, state: Any) -> None:
    kind = type(generator).__name__
    if kind not in _NUMBERS:
        return
    place = _place(kind, state[0] if type(state) is tuple and state else state)
    if type(place) is not int:  # a state of another form: what the generator has made of it, which takes a while
        place = _place(kind, generator.state)
    if not 0 <= place <= _NUMBERS[kind]:
        raise strange("has a random generator read numbers that it does not have")


def _place(kind: str, state: Any) -> Any:
    if type(state) is not dict:
        return None
    if kind == "Philox":
        return state.get("buffer_pos")
    within = state.get("state")
    return within.get("pos") if type(within) is dict else None
