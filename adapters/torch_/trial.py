"""What a program takes and gives, found out by running it on made-up inputs while it is loaded.

A file says little: TorchScript names its arguments and no more; an exported program fixes shapes, but promises no
batch. So the program is run with two rows, then three, then with other sizes, and what it does decides the signature.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.base import Array, Tensors, TensorSpec
from adapters.datatypes import NUMPY_OF, datatype_of
from adapters.shared.trial_runs import Rows, Run, TrialRuns, TrialTime, all_have, ramp

#: further candidates for a program that has not taken rows together yet: the right guess may follow
_PATIENCE = 60
#: elements of a made-up input: inside the program they may become a multiple
MAX_ELEMENTS = 1 << 22

#: (slot, axis) -> another size
_Sizes = Mapping[tuple[int, int], int]


@dataclass(frozen=True)
class Slot:
    """An input to try: sizes of all its dimensions, and which of them are free (None: to be found out)."""

    name: str
    datatype: str
    sizes: tuple[int, ...]
    free: tuple[bool, ...] | None = None


@dataclass(frozen=True)
class ProgramFindings:
    """How requests are put to the program, its tensors, and an example that it accepted."""

    rows: Rows
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    example: Tensors


def examine(run: Run, candidates: Iterable[Sequence[Slot]]) -> ProgramFindings | Exception | None:
    """The findings for the first candidate that the program accepts, best as rows; the last error when it takes none.

    `run` raises whatever the program raises when its inputs do not fit.
    """
    time_left = TrialTime()
    error: Exception | None = None
    second: ProgramFindings | None = None  # what runs, but not for rows together
    waits = _PATIENCE
    for slots in candidates:
        trial = _Trial(run, slots)
        found = trial.findings()
        if found and found.rows is Rows.TOGETHER:
            return found
        second, error = second or found, trial.error
        waits -= second is not None
        if not waits or time_left.is_over():
            break
    return second or error


class _Trial:
    """One candidate."""

    def __init__(self, run: Run, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._runs = TrialRuns(run)

    @property
    def error(self) -> Exception | None:
        return self._runs.error

    def findings(self) -> ProgramFindings | None:
        firsts = [(slot.sizes[:1], slot.free is None or slot.free[:1] == (True,)) for slot in self._slots]
        any_rows = all(sizes and free for sizes, free in firsts)
        found = self._runs.findings(
            lambda _: [self._inputs],
            batch=any_rows,
            single=any_rows or all(sizes == (1,) for sizes, _ in firsts),
            uneven=len(self._slots) > 1 and not self._is_large(3),
        )
        if found and found.rows is Rows.NONE and found.count:  # it takes two rows, but not as rows: its own sizes count
            whole = self._attempt(None)
            return self._found(Rows.NONE, None, whole) if whole else None
        return self._found(found.rows, found.count, found.outputs) if found else None

    def _found(self, rows: Rows, count: int | None, values: Tensors) -> ProgramFindings:
        batched = rows is not Rows.NONE
        free = self._free(count)
        changed = {key: size for key in free if (size := self._other(key, free, count))}
        other = self._attempt(3 if rows is Rows.TOGETHER else count, changed) or values
        inputs = []
        for index, slot in enumerate(self._slots):
            dims = tuple(-1 if (index, axis) in free else size for axis, size in enumerate(slot.sizes))
            nullable = NUMPY_OF[slot.datatype].kind == "f"  # as NaN, which is a number to a program
            inputs.append(TensorSpec(slot.name, slot.datatype, (-1, *dims[1:]) if batched else dims, nullable=nullable))
        outputs = tuple(_output(name, value, other.get(name), batched) for name, value in values.items())
        example = self._inputs(count)
        if rows is Rows.ONE_BY_ONE:
            example = {name: np.concatenate([array, array]) for name, array in example.items()}
        return ProgramFindings(rows, tuple(inputs), outputs, example)

    def _free(self, count: int | None) -> set[tuple[int, int]]:
        """The dimensions that may have any size: as declared, else those in which the program took another one."""
        start = 0 if count is None else 1
        declared = {
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
        return declared | found

    def _other(self, key: tuple[int, int], together: Iterable[tuple[int, int]], count: int | None) -> int:
        """Another size that the program takes in a dimension and those that must change with it; 0: there is none."""
        size = self._size(key)
        for other in (2 * size, size + 1):
            changes = {twin: other for twin in together if twin[1] == key[1] and self._size(twin) == size}
            values = self._attempt(count, changes)
            if values is not None and (count is None or all_have(values, count)):
                return other
        return 0

    def _size(self, key: tuple[int, int]) -> int:
        return self._slots[key[0]].sizes[key[1]]

    def _shape(self, index: int, rows: int | None, changes: _Sizes | None = None) -> tuple[int, ...]:
        sizes = self._slots[index].sizes
        sizes = sizes if rows is None else (rows, *sizes[1:])
        return tuple((changes or {}).get((index, axis), size) for axis, size in enumerate(sizes))

    def _attempt(self, rows: int | None, changes: _Sizes | None = None) -> Tensors | None:
        if changes and self._is_large(rows, changes):
            return None
        return self._runs.attempt(self._inputs(rows, changes))

    def _inputs(self, rows: int | None, changes: _Sizes | None = None) -> Tensors:
        return {slot.name: _fill(slot, self._shape(index, rows, changes)) for index, slot in enumerate(self._slots)}

    def _is_large(self, rows: int | None, changes: _Sizes | None = None) -> bool:
        shapes = (self._shape(index, rows, changes) for index in range(len(self._slots)))
        return any(math.prod(shape) > MAX_ELEMENTS for shape in shapes)


def _output(name: str, value: Array, other: Array | None, batched: bool) -> TensorSpec:
    """Sizes that differ between two runs are free."""
    dims = value.shape
    if other is not None and other.ndim == value.ndim:
        dims = tuple(a if a == b else -1 for a, b in zip(value.shape, other.shape, strict=True))
    return TensorSpec(name, datatype_of(value.dtype), (-1, *dims[1:]) if batched else dims)


def _fill(slot: Slot, shape: tuple[int, ...]) -> Array:
    """Rows that differ; truth values and masks are ones."""
    if slot.datatype == "BYTES":
        return np.full(shape, "example", dtype=np.object_)
    dtype = NUMPY_OF[slot.datatype]
    if dtype.kind == "b" or "mask" in slot.name.lower():
        return np.ones(shape, dtype=dtype)
    return ramp(slot.datatype, shape)
