"""What an ONNX graph's declared shapes leave open, found out by running it (`adapters.shared.trial_runs`).

A converter gives every batch dimension a symbol of its own, others none at all; encoders know some texts and no more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from adapters.base import Array, LoadError, Tensors
from adapters.datatypes import NUMPY_OF
from adapters.onnx_.graph import Categories
from adapters.onnx_.types import OnnxPort
from adapters.shared.trial_runs import Findings, Make, Rows, Run, TrialRuns, fitting, ramp

#: sizes tried for all free dimensions at once: widths of tables, then lengths and image sizes in use
SIZES = (*range(1, 65), 96, 128, 224, 256, 299, 384, 512, 768, 1024)
#: free dimensions are not tried at sizes that make an input larger than this: inside the graph it may be a multiple
MAX_ELEMENTS = 1 << 21
#: elements of one input with all free dimensions at 1; a larger one is no model but a mistake
MAX_FIXED = 1 << 28

#: what whole numbers are made of
_PATTERNS = ("ramp", "ones", "zeros")


def examine(
    run: Run, inputs: Sequence[OnnxPort], outputs: Sequence[OnnxPort], known: Categories, counting: bool = False
) -> Findings:
    """Find out how the graph takes rows, and an example that it accepts.

    `run` raises whatever the graph raises when its inputs do not fit. `known` are the categories of its encoders.
    `counting`: how much it gives may depend on values, so that one box found in one picture is no row of an answer.

    Raises:
        LoadError: an input is too large to be made.
    """
    for port in inputs:
        if math.prod(_shape(port, 1, None)) > MAX_FIXED:
            raise LoadError(f"input {port.name!r} of shape {port.shape} has more than {MAX_FIXED} elements")
    first = _first(inputs)
    any_rows = bool(inputs) and not any(isinstance(size, int) for size in first)
    one_row = bool(inputs) and all(size == 1 for size in first)
    if counting and not all(port.dims[:1] == (1,) for port in outputs):
        one_row = False
    one_symbol = len(set(first)) == 1 and first[0] is not None
    found = TrialRuns(run).findings(
        lambda rows: _candidates(inputs, rows, known),
        batch=any_rows,
        single=any_rows or one_row,
        uneven=len(inputs) > 1 and not one_symbol,
    )
    return found or _as_declared(inputs, outputs, known)


def _first(inputs: Sequence[OnnxPort]) -> list[int | str | None]:
    return [port.dims[0] if port.dims else 0 for port in inputs]


def _as_declared(inputs: Sequence[OnnxPort], outputs: Sequence[OnnxPort], known: Categories) -> Findings:
    """Nothing ran: believe the declared shapes."""
    rows, firsts = Rows.NONE, _first(inputs)
    first = (firsts or [0])[0]
    leading = [port.dims[:1] for port in outputs]
    if len(set(firsts)) == 1 and all(dims in ((first,), (None,)) for dims in leading):
        rows = Rows.ONE_BY_ONE if first == 1 else Rows.NONE if isinstance(first, int) else Rows.TOGETHER
    make = partial(_feeds, inputs, known, 1, _PATTERNS[0])
    return Findings(rows, make, None if rows is Rows.NONE else 2, {})


def _candidates(inputs: Sequence[OnnxPort], rows: int | None, known: Categories) -> Iterator[Make]:
    dims = [size for port in inputs for size in port.dims[rows is not None :]]
    sizes = SIZES[:1] if all(isinstance(size, int) for size in dims) else SIZES
    patterns = _PATTERNS if any("INT" in port.datatype for port in inputs) else _PATTERNS[:1]
    for size in fitting(sizes, lambda size: [_shape(port, size, rows) for port in inputs], MAX_ELEMENTS):
        for pattern in patterns:
            yield partial(_feeds, inputs, known, size, pattern)


def _feeds(inputs: Sequence[OnnxPort], known: Categories, size: int, pattern: str, rows: int | None) -> Tensors:
    return {port.name: _fill(port, _shape(port, size, rows), pattern, known) for port in inputs}


def _shape(port: OnnxPort, size: int, rows: int | None) -> tuple[int, ...]:
    shape = tuple(length if isinstance(length, int) else size for length in port.dims)
    return shape if rows is None else (rows, *shape[1:])


def _fill(port: OnnxPort, shape: tuple[int, ...], pattern: str, known: Categories) -> Array:
    array = np.full(shape, "example", dtype=np.object_) if port.datatype == "BYTES" else _numbers(port, shape, pattern)
    table = array if array.ndim == 2 else array.reshape(-1, 1) if array.ndim == 1 else None
    for (name, column), values in known.items():
        if table is not None and name == port.name and column < table.shape[1]:
            table[:, column] = [values[row % len(values)] for row in range(len(table))]
    return array


def _numbers(port: OnnxPort, shape: tuple[int, ...], pattern: str) -> Array:
    """Rows that differ; of whole numbers and truth values, masks are ones."""
    dtype = NUMPY_OF[port.datatype]
    if dtype.kind != "f" and (pattern != "ramp" or "mask" in port.name.lower()):
        return np.full(shape, pattern != "zeros", dtype=dtype)
    return ramp(port.datatype, shape)
