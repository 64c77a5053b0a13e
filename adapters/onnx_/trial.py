"""What an ONNX graph's declared shapes leave open, found out by running it on made-up inputs while it is loaded.

Declared shapes are often wrong or missing: a converter gives every batch dimension a symbol of its own, an exporter
promises any number of rows and then reshapes to one, a convolution takes any height but not 1. So the graph is run
with two rows, then three, then with an uneven number, and what it does decides how requests are put to it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product

import numpy as np

from adapters.base import Array, LoadError, Tensors
from adapters.datatypes import NUMPY_OF
from adapters.onnx_.graph import Categories
from adapters.onnx_.types import Port, Value, array_of, rows_of

#: sizes tried for all free dimensions at once: widths of tables, then lengths and image sizes in use
SIZES = (*range(1, 65), 96, 128, 224, 256, 299, 384, 512, 768, 1024)
#: free dimensions are not tried at sizes that make an input larger than this: inside the graph it may be a multiple
MAX_ELEMENTS = 1 << 21
#: elements of one input with all free dimensions at 1; a larger one is no model but a mistake
MAX_FIXED = 1 << 28
#: after this time no further size is tried
MAX_SECONDS = 10.0

Run = Callable[[Tensors], list[Value]]


class Rows(Enum):
    """How the rows of a request reach the graph."""

    TOGETHER = "the first dimension is the batch"
    ONE_BY_ONE = "the graph takes one row a run"
    NONE = "there are no rows: a request is one run with whole tensors"


@dataclass(frozen=True)
class Findings:
    """How requests are put to the graph, an example of one, and what the graph gave (nothing if it never ran)."""

    rows: Rows
    example: Tensors
    outputs: list[Value]


@dataclass(frozen=True)
class _Filling:
    """How the inputs of a trial are made: the size of every free dimension, the pattern of whole numbers."""

    size: int = 1
    pattern: str = "ramp"


def examine(run: Run, inputs: Sequence[Port], outputs: Sequence[Port], known: Categories) -> Findings:
    """Find out how the graph takes rows, and an example that it accepts.

    `run` raises whatever the graph raises when its inputs do not fit. `known` are the categories of its encoders.

    Raises:
        LoadError: an input is too large to be made.
    """
    for port in inputs:
        if math.prod(_shape(port, 1, None)) > MAX_FIXED:
            raise LoadError(f"input {port.name!r} of shape {port.shape} has more than {MAX_FIXED} elements")
    return _Trial(run, inputs, outputs, known).findings()


class _Trial:
    def __init__(self, run: Run, inputs: Sequence[Port], outputs: Sequence[Port], known: Categories) -> None:
        self._run, self._inputs, self._outputs, self._known = run, inputs, outputs, known
        self._first = [port.dims[0] if port.dims else 0 for port in inputs]
        self._deadline = time.monotonic() + MAX_SECONDS

    def findings(self) -> Findings:
        any_rows = bool(self._inputs) and not any(isinstance(size, int) for size in self._first)
        one_row = bool(self._inputs) and all(size == 1 for size in self._first)
        if any_rows and (found := self._search(2)):
            rows = Rows.TOGETHER if self._together(*found) else Rows.NONE
            return Findings(rows, self._feeds(found[0], 2), found[1])
        if (any_rows or one_row) and (found := self._search(1)) and _all_have(found[1], 1):
            return Findings(Rows.ONE_BY_ONE, self._feeds(found[0], 2), found[1])
        if found := self._search(None):
            return Findings(Rows.NONE, self._feeds(found[0], None), found[1])
        return self._as_declared()

    def _together(self, filling: _Filling, two: list[Value]) -> bool:
        three = self._attempt(self._feeds(filling, 3))
        return three is not None and _all_have(two, 2) and _all_have(three, 3) and not self._uneven(filling, two)

    def _uneven(self, filling: _Filling, two: list[Value]) -> bool:
        """Whether some input may have another number of rows than the rest and makes a difference: it is no batch."""
        if len(self._inputs) == 1 or (len(set(self._first)) == 1 and self._first[0] is not None):
            return False
        even, longer = self._feeds(filling, 2), self._feeds(filling, 3)
        runs = (self._attempt({**even, name: longer[name]}) for name in even)
        return any(values is not None and not _same(values, two) for values in runs)

    def _as_declared(self) -> Findings:
        """Nothing ran: believe the declared shapes."""
        rows, first = Rows.NONE, (self._first or [0])[0]
        leading = [port.dims[:1] for port in self._outputs]
        if len(set(self._first)) == 1 and all(dims in ((first,), (None,)) for dims in leading):
            rows = Rows.ONE_BY_ONE if first == 1 else Rows.NONE if isinstance(first, int) else Rows.TOGETHER
        return Findings(rows, self._feeds(_Filling(), None if rows is Rows.NONE else 2), [])

    def _search(self, rows: int | None) -> tuple[_Filling, list[Value]] | None:
        for filling in self._fillings(rows):
            if time.monotonic() > self._deadline:
                return None
            if (values := self._attempt(self._feeds(filling, rows))) is not None:
                return filling, values
        return None

    def _fillings(self, rows: int | None) -> Iterator[_Filling]:
        dims = [size for port in self._inputs for size in port.dims[rows is not None :]]
        sizes = SIZES[:1] if all(isinstance(size, int) for size in dims) else SIZES
        whole = any("INT" in port.datatype for port in self._inputs)
        for size, pattern in product(sizes, ("ramp", "ones", "zeros") if whole else ("ramp",)):
            if size == 1 or all(math.prod(_shape(port, size, rows)) <= MAX_ELEMENTS for port in self._inputs):
                yield _Filling(size, pattern)

    def _attempt(self, feeds: Tensors) -> list[Value] | None:
        try:
            return self._run(feeds)
        except Exception:  # an answer, too: these inputs do not fit
            return None

    def _feeds(self, filling: _Filling, rows: int | None) -> Tensors:
        return {port.name: _fill(port, filling, rows, self._known) for port in self._inputs}


def _all_have(values: list[Value], rows: int) -> bool:
    return all(rows_of(value) == rows for value in values)


def _same(values: list[Value], others: list[Value]) -> bool:
    pairs = [(array_of(value), array_of(other)) for value, other in zip(values, others, strict=True)]
    return all(one.shape == two.shape and one.tolist() == two.tolist() for one, two in pairs)


def _shape(port: Port, size: int, rows: int | None) -> tuple[int, ...]:
    shape = tuple(length if isinstance(length, int) else size for length in port.dims)
    return shape if rows is None else (rows, *shape[1:])


def _fill(port: Port, filling: _Filling, rows: int | None, known: Categories) -> Array:
    shape = _shape(port, filling.size, rows)
    array = np.full(shape, "example", dtype=np.object_) if port.datatype == "BYTES" else _numbers(port, shape, filling)
    table = array if array.ndim == 2 else array.reshape(-1, 1) if array.ndim == 1 else None
    for (name, column), values in known.items():
        if table is not None and name == port.name and column < table.shape[1]:
            table[:, column] = [values[row % len(values)] for row in range(len(table))]
    return array


def _numbers(port: Port, shape: tuple[int, ...], filling: _Filling) -> Array:
    """Rows that differ. Whole numbers are zeros and ones, for they may be indexes; masks are ones."""
    dtype = NUMPY_OF[port.datatype]
    if dtype.kind != "f" and (filling.pattern != "ramp" or "mask" in port.name.lower()):
        return np.full(shape, filling.pattern != "zeros", dtype=dtype)
    row, column = np.ogrid[: shape[0] if shape else 1, : math.prod(shape[1:])]
    values = (row + column) % 10 / 10 if dtype.kind == "f" else (row + column) % 2
    return values.reshape(shape).astype(dtype)
