"""What a program takes and gives, found out by running it on made-up inputs while it is loaded.

A file says little: TorchScript names its arguments and no more; an exported program fixes shapes, but promises no
batch. So the program is run with two rows, then three, then with other sizes, and what it does decides the signature.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from adapters.base import Array, Tensors, TensorSpec
from adapters.datatypes import NUMPY_OF, datatype_of
from adapters.torch_.values import Run

#: after this time no further candidate is tried
MAX_SECONDS = 10.0
#: further candidates for a program that has not taken rows together yet: the right guess may follow
_PATIENCE = 60
#: elements of a made-up input: inside the program they may become a multiple
MAX_ELEMENTS = 1 << 22

#: (slot, axis) -> another size
_Sizes = Mapping[tuple[int, int], int]


class Rows(Enum):
    """How the rows of a request reach the program."""

    TOGETHER = "the first dimension is the batch"
    ONE_BY_ONE = "the program takes one row a run"
    NONE = "there are no rows: a request is one run with whole tensors"


@dataclass(frozen=True)
class Slot:
    """An input to try: sizes of all its dimensions, and which of them are free (None: to be found out)."""

    name: str
    datatype: str
    sizes: tuple[int, ...]
    free: tuple[bool, ...] | None = None


@dataclass(frozen=True)
class Findings:
    """How requests are put to the program, its tensors, and an example that it accepted."""

    rows: Rows
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    example: Tensors


def examine(run: Run, candidates: Iterable[Sequence[Slot]]) -> Findings | Exception | None:
    """The findings for the first candidate that the program accepts, best as rows; the last error when it takes none.

    `run` raises whatever the program raises when its inputs do not fit.
    """
    deadline = time.monotonic() + MAX_SECONDS
    error: Exception | None = None
    second: Findings | None = None  # what runs, but not for rows together
    waits = _PATIENCE
    for slots in candidates:
        trial = _Trial(run, slots)
        found = trial.findings()
        if found and found.rows is Rows.TOGETHER:
            return found
        second, error = second or found, trial.error
        waits -= second is not None
        if not waits or time.monotonic() > deadline:
            break
    return second or error


class _Trial:
    def __init__(self, run: Run, slots: Sequence[Slot]) -> None:
        self._run, self._slots = run, slots
        self.error: Exception | None = None

    def findings(self) -> Findings | None:
        firsts = [(slot.sizes[:1], slot.free is None or slot.free[:1] == (True,)) for slot in self._slots]
        any_rows = all(sizes and free for sizes, free in firsts)
        if any_rows and (two := self._attempt(2)):
            if self._together(two):
                return self._found(Rows.TOGETHER, 2, two)
        elif (
            (any_rows or all(sizes == (1,) for sizes, _ in firsts)) and (one := self._attempt(1)) and _all_have(one, 1)
        ):
            return self._found(Rows.ONE_BY_ONE, 1, one)
        whole = self._attempt(None)
        return self._found(Rows.NONE, None, whole) if whole else None

    def _together(self, two: Tensors) -> bool:
        three = self._attempt(3)
        return three is not None and _all_have(two, 2) and _all_have(three, 3) and not self._uneven(two)

    def _uneven(self, two: Tensors) -> bool:
        """Whether some input may have another number of rows than the rest and makes a difference: it is no batch."""
        if len(self._slots) == 1:
            return False
        runs = (self._attempt(2, {(index, 0): 3}) for index in range(len(self._slots)))
        return any(values is not None and not _same(values, two) for values in runs)

    def _found(self, rows: Rows, count: int | None, values: Tensors) -> Findings:
        batched = rows is not Rows.NONE
        free = self._free(count)
        changed = {key: size for key in free if (size := self._other(key, free, count))}
        other = self._attempt(3 if rows is Rows.TOGETHER else count, changed) or values
        inputs = []
        for index, slot in enumerate(self._slots):
            dims = tuple(-1 if (index, axis) in free else size for axis, size in enumerate(slot.sizes))
            inputs.append(TensorSpec(slot.name, slot.datatype, (-1, *dims[1:]) if batched else dims))
        outputs = tuple(_output(name, value, other.get(name), batched) for name, value in values.items())
        example = {slot.name: _fill(slot, self._shape(index, count, {})) for index, slot in enumerate(self._slots)}
        if rows is Rows.ONE_BY_ONE:
            example = {name: np.concatenate([array, array]) for name, array in example.items()}
        return Findings(rows, tuple(inputs), outputs, example)

    def _free(self, count: int | None) -> set[tuple[int, int]]:
        """The dimensions that may have any size: as told, else those in which the program took another one."""
        start = 0 if count is None else 1
        told = {
            (index, axis)
            for index, slot in enumerate(self._slots)
            for axis, free in enumerate(slot.free or ())
            if free and axis >= start
        }
        asked = [
            (index, axis)
            for index, slot in enumerate(self._slots)
            if slot.free is None
            for axis in range(start, len(slot.sizes))
        ]
        found = {key for key in asked if self._other(key, {key}, count)}
        for key in asked:  # lengths of ids and of their mask change together or not at all
            twins = {twin for twin in asked if twin[1] == key[1] and self._size(twin) == self._size(key)}
            if key not in found and len(twins) > 1 and self._other(key, twins, count):
                found |= twins
        return told | found

    def _other(self, key: tuple[int, int], together: Iterable[tuple[int, int]], count: int | None) -> int:
        """Another size that the program takes in a dimension and those that must change with it; 0: there is none."""
        size = self._size(key)
        for other in (2 * size, size + 1):
            changes = {twin: other for twin in together if twin[1] == key[1] and self._size(twin) == size}
            values = self._attempt(count, changes)
            if values is not None and (count is None or _all_have(values, count)):
                return other
        return 0

    def _size(self, key: tuple[int, int]) -> int:
        return self._slots[key[0]].sizes[key[1]]

    def _shape(self, index: int, rows: int | None, changes: _Sizes) -> tuple[int, ...]:
        sizes = self._slots[index].sizes
        sizes = sizes if rows is None else (rows, *sizes[1:])
        return tuple(changes.get((index, axis), size) for axis, size in enumerate(sizes))

    def _attempt(self, rows: int | None, changes: _Sizes | None = None) -> Tensors | None:
        shapes = [self._shape(index, rows, changes or {}) for index in range(len(self._slots))]
        if any(math.prod(shape) > MAX_ELEMENTS for shape in shapes) and changes:
            return None
        try:
            return self._run({slot.name: _fill(slot, shape) for slot, shape in zip(self._slots, shapes, strict=True)})
        except Exception as error:  # an answer, too: these inputs do not fit
            self.error = error
            return None


def _output(name: str, value: Array, other: Array | None, batched: bool) -> TensorSpec:
    """Sizes that differ between two runs are free."""
    dims = value.shape
    if other is not None and other.ndim == value.ndim:
        dims = tuple(a if a == b else -1 for a, b in zip(value.shape, other.shape, strict=True))
    return TensorSpec(name, datatype_of(value.dtype), (-1, *dims[1:]) if batched else dims)


def _all_have(values: Tensors, rows: int) -> bool:
    return bool(values) and all(array.ndim > 0 and len(array) == rows for array in values.values())


def _same(values: Tensors, others: Tensors) -> bool:
    return values.keys() == others.keys() and all(
        values[name].shape == others[name].shape and values[name].tolist() == others[name].tolist() for name in values
    )


def _fill(slot: Slot, shape: tuple[int, ...]) -> Array:
    """Rows that differ. Whole numbers are zeros and ones, for they may be indexes; masks are ones."""
    if slot.datatype == "BYTES":
        return np.full(shape, "example", dtype=np.object_)
    dtype = NUMPY_OF[slot.datatype]
    if dtype.kind == "b" or "mask" in slot.name.lower():
        return np.ones(shape, dtype=dtype)
    row, column = np.ogrid[: shape[0] if shape else 1, : math.prod(shape[1:])]
    values = (row + column) % 10 / 10 if dtype.kind == "f" else (row + column) % 2
    return values.reshape(shape).astype(dtype)
