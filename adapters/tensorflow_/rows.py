"""How a signature takes rows, and an example that it accepts: found out by running it while it is loaded.

Declared shapes are not enough: a free first dimension may be a length and no batch, other free dimensions do not take
every size, and of texts some graphs want encoded images or serialized `tf.Example`s.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from adapters.base import Array
from adapters.datatypes import NUMPY_OF
from adapters.tensorflow_.types import Entry, Port

#: sizes tried for all free dimensions but the first at once
SIZES = (1, 2, 3, 4, 8, 16, 32, 64, 128, 224, 256, 299, 384, 512)
#: larger examples are not tried
MAX_ELEMENTS = 1 << 22
#: after this time no further example is tried
MAX_SECONDS = 10.0

#: a PNG image of one pixel
_PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVQI12P4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC")
#: a word, a serialized `tf.Example` of no features, an image, a number
_TEXTS = (b"example", b"", _PNG, b"0")


@dataclass(frozen=True)
class Findings:
    """What came of the runs."""

    batched: bool  #: every tensor's first dimension is the batch
    mergeable: bool  #: rows together gave what each gave alone
    example: tuple[Array, ...]  #: two rows, or one call's tensors
    outputs: tuple[Port, ...]  #: with the number of dimensions that was seen where none was declared
    ran: bool  #: the graph took the example


def examine(entry: Entry) -> Findings:
    """Run a signature on made-up inputs."""
    deadline = time.monotonic() + MAX_SECONDS
    may_batch = bool(entry.inputs) and all(_free(port) for port in (*entry.inputs, *entry.outputs))
    for size, text in _fillings(entry.inputs):
        two = [_fill(port, 2, size, text) for port in entry.inputs]
        together = _attempt(entry, two)
        if together is not None:
            outputs = tuple(map(_observed, entry.outputs, together))
            batched = may_batch and _is_batch(entry, two, together)
            mergeable = batched and _is_independent(entry, two, together)
            return Findings(batched, mergeable, tuple(two), outputs, ran=True)
        if time.monotonic() > deadline:
            break
    example = tuple(_fill(port, 2, 1, _TEXTS[0]) for port in entry.inputs)
    return Findings(may_batch, may_batch, example, entry.outputs, ran=False)


def _free(port: Port) -> bool:
    return port.dims is None or port.dims[:1] == (-1,)


def _fillings(ports: Sequence[Port]) -> Iterator[tuple[int, bytes]]:
    """Sizes and texts to try, the smallest first; few where nothing is free."""
    sizes = SIZES if any(-1 in port.dims[1:] for port in ports if port.dims) else SIZES[:1]
    texts = _TEXTS if any(port.datatype == "BYTES" for port in ports) else _TEXTS[:1]
    for size, text in product(sizes, texts):
        if size == 1 or all(math.prod(_shape(port, 2, size)) <= MAX_ELEMENTS for port in ports):
            yield size, text


def _shape(port: Port, rows: int, size: int) -> tuple[int, ...]:
    return tuple(length if length >= 0 else size if axis else rows for axis, length in enumerate(port.shape))


def _fill(port: Port, rows: int, size: int, text: bytes) -> Array:
    """Rows that differ, where they are numbers. Whole numbers are zeros and ones, for they may be indexes."""
    shape = _shape(port, rows, size)
    if port.datatype == "BYTES":
        array: Array = np.full(shape, text, dtype=np.object_)
        return array
    row, column = np.ogrid[: shape[0] if shape else 1, : math.prod(shape[1:])]
    floats = NUMPY_OF[port.datatype].kind == "f"
    values = (row + column) % 10 / 10 if floats else (row + column) % 2
    return values.reshape(shape).astype(NUMPY_OF[port.datatype])


def _attempt(entry: Entry, arrays: Sequence[Array]) -> Sequence[Array] | None:
    try:
        return entry.run(arrays)
    except Exception:  # an answer, too: these inputs do not fit
        return None


def _observed(port: Port, value: Array) -> Port:
    dims = (-1,) * value.ndim if port.dims is None else port.dims
    return Port(port.name, port.datatype, dims)


def _is_batch(entry: Entry, two: Sequence[Array], together: Sequence[Array]) -> bool:
    """Whether the outputs have as many rows as the inputs: two, or three of which two are alike."""
    three = _attempt(entry, [array[[0, 1, 0]] for array in two])
    return three is not None and _all_have(2, together) and _all_have(3, three)


def _all_have(rows: int, arrays: Sequence[Array]) -> bool:
    return all(array.shape[:1] == (rows,) for array in arrays)


def _is_independent(entry: Entry, two: Sequence[Array], together: Sequence[Array]) -> bool:
    """Whether two rows gave together what each gave alone, but for the rounding of floats."""
    singles = [_attempt(entry, [array[row : row + 1] for array in two]) for row in range(2)]
    for index, batch in enumerate(together):
        rows = [single[index] for single in singles if single is not None]
        if len(rows) < 2 or any(row.shape != (1, *batch.shape[1:]) for row in rows):
            return False
        alone = np.concatenate(rows)
        if batch.dtype.kind == "f":
            scale = float(np.abs(batch[np.isfinite(batch)]).max(initial=0))
            if not np.allclose(alone, batch, rtol=1e-3, atol=1e-5 * scale, equal_nan=True):
                return False
        elif alone.tolist() != batch.tolist():
            return False
    return True
