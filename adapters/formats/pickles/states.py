"""How a state is given to an object: by Python's own rule, less what could reach behind the object."""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from adapters.formats.pickles.arrays import check_fill
from adapters.formats.pickles.natives import check_sound, holds_index
from adapters.formats.pickles.policy import PARTIAL, Refused, refusal, strange
from adapters.formats.pickles.values import Placeholder, check_names

__all__ = ["set_state"]


def set_state(target: Any, state: Any) -> None:
    """Give an object its state; reserved names are refused, and so is its own idea of the rule."""
    parts = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    for part in parts:
        if isinstance(part, dict) and not isinstance(target, Placeholder):
            check_names(part)
    if isinstance(target, np.ndarray):
        check_fill(target, state)
    if isinstance(target, functools.partial) and state[0] is not target.func:
        raise Refused(refusal([PARTIAL]))
    setter = getattr(type(target), "__setstate__", None)
    if setter is not None:
        setter(target, state)
        check_sound(target, state)
        return
    if holds_index(target):
        raise strange("changes an index")
    attributes, slots = parts
    if attributes:
        target.__dict__.update({sys.intern(name): value for name, value in attributes.items()})
    for name, value in (slots or {}).items():
        setattr(target, name, value)
