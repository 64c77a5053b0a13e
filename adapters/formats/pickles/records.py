"""What a scan makes instead of objects, and what it notes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapters.formats.pickles.policy import Use, refusal
from adapters.formats.pickles.stream import Unreadable

__all__ = ["MAX_STEPS", "Found", "Made", "Name", "count_of", "layout_of", "tuple_of"]

MAX_STEPS = 32_000_000  #: a vocabulary of a million words, numbered by numpy, takes 16 million
_MAX_NESTED = 10**8  #: elements of a tuple, counted through its tuples: hashing or comparing one visits them all
_DTYPE = re.compile(r"[<>=|]?[a-zA-Z?]\d{0,9}")


@dataclass(slots=True, eq=False)
class Name:
    """A global, named and not imported."""

    name: str
    use: Use | None
    of_first: bool  #: calling it makes an object of the class that its first argument names


@dataclass(slots=True, eq=False)
class Made:
    """An object that loading would make: its dotted class, and what it is made from."""

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    inert: bool = False


class _Nested(tuple[Any, ...]):
    """A tuple that holds tuples; `weight` counts the elements of all."""

    weight: int


def _all_steps() -> Iterator[int]:
    return iter(range(MAX_STEPS))


@dataclass
class Found:
    """What a scan notes, through the pickles nested in the file."""

    names: dict[str, None] = field(default_factory=dict)  #: every name, in order
    unlisted: dict[str, None] = field(default_factory=dict)  #: those that the policy does not allow
    acts: dict[str, None] = field(default_factory=dict)  #: what it does that the policy does not allow
    version: str | None = None
    on_frame: bool = False
    held: dict[str, None] = field(default_factory=dict)  #: names allowed for one use alone, which has not come yet
    steps: Iterator[int] = field(default_factory=_all_steps)  #: those that all pickles together may still take

    def refused(self) -> str:
        if unlisted := {**self.unlisted, **self.held}:
            return refusal(tuple(unlisted))
        return f"{next(iter(self.acts))}, as no known library's pickle does; it was not loaded" if self.acts else ""


def tuple_of(items: list[Any]) -> tuple[Any, ...]:
    weight = 0
    for item in items:
        if isinstance(item, tuple):
            weight += item.weight if isinstance(item, _Nested) else len(item)
    if not weight:
        return tuple(items)
    nested = _Nested(items)
    nested.weight = len(items) + weight
    if nested.weight > _MAX_NESTED:
        raise Unreadable("nests tuples in tuples without end, as no model does")
    return nested


def layout_of(dtype: Any) -> tuple[int, bool]:
    """The size of an element, and whether it holds Python objects, from a pickled numpy dtype."""
    code = dtype.args[0] if isinstance(dtype, Made) and dtype.name == "numpy.dtype" and dtype.args else None
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise Unreadable("is damaged: an array of an unknown type")
    state = dtype.state if isinstance(dtype.state, tuple) else ()
    size = state[5] if len(state) > 5 and isinstance(state[5], int) and state[5] >= 0 else np.dtype(code).itemsize
    flags = state[7] if len(state) > 7 and isinstance(state[7], int) else 0
    return size, "O" in code or bool(flags & 1)


def count_of(shape: Any) -> int:
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise Unreadable("is damaged: an array without a shape")
    count = 1
    for size in shape:
        count *= size
    return count
