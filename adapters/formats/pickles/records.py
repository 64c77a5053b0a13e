"""What a scan makes instead of objects, and what it notes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from adapters.formats.pickles.machine import Taken
from adapters.formats.pickles.policy import Use, refusal
from adapters.formats.pickles.stream import Unreadable

__all__ = [
    "MAX_BYTES",
    "MAX_HELD",
    "MAX_STACKED",
    "Found",
    "Made",
    "Name",
    "count_of",
    "layout_of",
    "max_steps",
    "tuple_of",
]

MAX_STEPS = 32_000_000  #: a vocabulary of a million words, numbered by numpy, takes 16 million
#: ... and those of a small file that expands to many: a vocabulary takes some six for a byte of it, however compressed
_MIN_STEPS, _STEPS_A_BYTE = 2_000_000, 16
MAX_HELD = 8_000_000  #: objects that a scan holds at once, some hundred bytes each; that vocabulary takes 6 million
#: ... and the bytes of what stands for all that the pickle makes, as if it were held to the end: picklers remember all
#: That vocabulary takes 300 MB, and one that Python has numbered 80 MB
MAX_BYTES = 400 << 20
MAX_STACKED = 2_000_000  #: of those, on the stack: picklers put a thousand items there at once, and a tuple's
_MAX_NAMES = 10_000  #: different ones; a model has some fifty
_MAX_COUNT = 1 << 62  #: elements of an array
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


def max_steps(size: int) -> int:
    """Those that the pickles in a file of `size` bytes may take together."""
    return min(MAX_STEPS, _MIN_STEPS + _STEPS_A_BYTE * size)


@dataclass
class Found(Taken):
    """What a scan notes, through the pickles nested in the file."""

    names: dict[str, None] = field(default_factory=dict)  #: every name, in order
    unlisted: dict[str, None] = field(default_factory=dict)  #: those that the policy does not allow
    acts: dict[str, None] = field(default_factory=dict)  #: what it does that the policy does not allow
    version: str | None = None
    on_frame: bool = False
    held: dict[str, None] = field(default_factory=dict)  #: names allowed for one use alone, which has not come yet
    in_tuples: int = 0  #: elements of all tuples
    limit: int = MAX_STEPS

    def name(self, label: str) -> None:
        """
        Raises:
            Unreadable: it is one more than any model names.
        """
        self.names[label] = None
        if len(self.names) > _MAX_NAMES:
            raise Unreadable(f"names more than {_MAX_NAMES:,} different classes and functions, as no model does")

    def refused(self) -> str:
        if unlisted := {**self.unlisted, **self.held}:
            return refusal(tuple(unlisted))
        return f"{next(iter(self.acts))}, as no known library's pickle does; it was not loaded" if self.acts else ""


def tuple_of(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tuple itself, or one that knows how many elements it has in its tuples.

    Raises:
        Unreadable: these are more than any model has.
    """
    weight = 0
    for item in items:
        if isinstance(item, tuple):
            weight += item.weight if isinstance(item, _Nested) else len(item)
    if not weight:
        return items
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
    size = state[5] if len(state) > 5 and isinstance(state[5], int) and state[5] >= 0 else _itemsize(code)
    flags = state[7] if len(state) > 7 and isinstance(state[7], int) else 0
    return size, "O" in code or bool(flags & 1)


@lru_cache(maxsize=256)
def _itemsize(code: str) -> int:
    return np.dtype(code).itemsize


def count_of(shape: Any) -> int:
    for size in shape if isinstance(shape, tuple) else (None,):
        if not isinstance(size, int) or size < 0:
            raise Unreadable("is damaged: an array without a shape")
    count = 1
    for size in shape:
        count *= size
        if count > _MAX_COUNT:  # numbers without a limit take as long to multiply
            raise Unreadable("is damaged: an array of more elements than there is memory")
    return count
