"""Which estimators run through the same code: of one class, with the same settings and arrays of the same layout.

Whether a plan is right for the installed versions, for all its methods and batches of any size, is a question about a
kind; so the first of a kind is proved at length. Of the others it is left to show that their numbers are nothing
special.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

__all__ = ["is_proved", "kind_of", "remember"]

_BY_VALUE = (str, bytes, bool, int, np.integer, np.bool_, type(None), type)
_PLAIN = frozenset({str, bytes, bool, int, type(None), type})
_ORDER = 3  #: of numpy's flags: contiguous as C has it, as Fortran has it
_DEPTH = 12
#: attributes that say how it was trained, and are never calculated with
_OF_TRAINING = frozenset({"random_state", "n_samples_", "n_samples_seen_", "_n_samples", "_n_samples_bootstrap"})
_PROVED: set[int] = set()  #: hashes of what was proved at length in this process


def is_proved(kind: Hashable, method: str) -> bool:
    """Whether another estimator of this kind was proved at length."""
    return hash((kind, method)) in _PROVED


def remember(kind: Hashable, method: str) -> None:
    """One of this kind was."""
    _PROVED.add(hash((kind, method)))


def kind_of(value: Any, depth: int = _DEPTH) -> Hashable:
    """All of a value that decides how it is calculated with, but no measured number."""
    cls = type(value)
    if cls in _PLAIN:  # most are, which one look tells
        return cls, value
    if isinstance(value, np.ndarray):
        return "array", value.dtype.str, value.shape, value.flags.num & _ORDER
    if cls is float:
        return (cls,)
    if isinstance(value, _BY_VALUE):
        return cls, value
    if depth and isinstance(value, list | tuple):
        return type(value), len(value), frozenset(kind_of(each, depth - 1) for each in value)
    if depth and (isinstance(value, dict) or hasattr(value, "__dict__")):
        own = value if isinstance(value, dict) else vars(value)
        return type(value), tuple(
            (str(name), kind_of(own[name], depth - 1)) for name in own if name not in _OF_TRAINING
        )
    return (type(value),)
