"""How a signature takes rows, and an example that it accepts: found out by running it (`adapters.shared.trial_runs`).

Declared shapes are not enough: a free first dimension may be a length and no batch, other free dimensions do not take
every size, and of texts some graphs want encoded images or serialized `tf.Example`s.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from adapters.base import Array, Tensors
from adapters.shared.arrays import one_by_one
from adapters.shared.trial_runs import Findings, Make, Rows, TrialRuns, fitting, ramp
from adapters.tensorflow_.types import Entry, TensorflowPort, message_of

#: sizes tried for all free dimensions but the first at once
SIZES = (1, 2, 3, 4, 8, 16, 32, 64, 128, 224, 256, 299, 384, 512)
#: larger examples are not tried
MAX_ELEMENTS = 1 << 22

#: a PNG image of one pixel
_PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVQI12P4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC")
#: a word, a serialized `tf.Example` of no features, an image, a number
_TEXTS = (b"example", b"", _PNG, b"0")


@dataclass(frozen=True)
class SignatureFindings:
    """What came of the runs."""

    batched: bool  #: every tensor's first dimension is the batch
    mergeable: bool  #: rows together gave what each gave alone
    example: Tensors  #: two rows, or one call's tensors
    outputs: tuple[TensorflowPort, ...]  #: with the number of dimensions that was seen where none was declared
    ran: bool  #: the graph took the example
    refusal: str = ""  #: what it said of the last inputs that it did not take, if it took none


def examine(entry: Entry) -> SignatureFindings:
    """Run a signature on made-up inputs."""
    trials = TrialRuns(partial(_run, entry))
    may_batch = bool(entry.inputs) and all(_free(port) for port in (*entry.inputs, *entry.outputs))
    # Whole tensors are what rows are here: there is nothing else to try when the graph takes no rows.
    found = trials.findings(
        lambda rows: () if may_batch and rows is None else _candidates(entry.inputs),
        batch=may_batch,
        single=False,
        alike=True,
    )
    if found is None:
        example = _feeds(entry.inputs, 1, _TEXTS[0], 2)
        refusal = "" if trials.error is None else message_of(trials.error)
        return SignatureFindings(may_batch, may_batch, example, entry.outputs, ran=False, refusal=refusal)
    outputs = tuple(_observed(port, found.outputs[port.name]) for port in entry.outputs)
    batched = found.rows is Rows.TOGETHER
    mergeable = batched and _is_independent(trials, found)
    return SignatureFindings(batched, mergeable, found.example, outputs, ran=True)


def _run(entry: Entry, inputs: Tensors) -> Tensors:
    values = entry.run([inputs[port.name] for port in entry.inputs])
    return {port.name: value for port, value in zip(entry.outputs, values, strict=True)}


def _free(port: TensorflowPort) -> bool:
    return port.dims is None or port.dims[:1] == (-1,)


def _candidates(ports: Sequence[TensorflowPort]) -> Iterator[Make]:
    """Sizes and texts to try, the smallest first; few where nothing is free."""
    sizes = SIZES if any(-1 in port.dims[1:] for port in ports if port.dims) else SIZES[:1]
    texts = _TEXTS if any(port.datatype == "BYTES" for port in ports) else _TEXTS[:1]
    for size in fitting(sizes, lambda size: [_shape(port, 2, size) for port in ports], MAX_ELEMENTS):
        for text in texts:
            yield partial(_feeds, ports, size, text)


def _feeds(ports: Sequence[TensorflowPort], size: int, text: bytes, rows: int | None) -> Tensors:
    return {port.name: _fill(port, rows or 2, size, text) for port in ports}


def _shape(port: TensorflowPort, rows: int, size: int) -> tuple[int, ...]:
    return tuple(length if length >= 0 else size if axis else rows for axis, length in enumerate(port.shape))


def _fill(port: TensorflowPort, rows: int, size: int, text: bytes) -> Array:
    """Rows that differ, where they are numbers."""
    shape = _shape(port, rows, size)
    return np.full(shape, text, dtype=np.object_) if port.datatype == "BYTES" else ramp(port.datatype, shape)


def _observed(port: TensorflowPort, value: Array) -> TensorflowPort:
    dims = (-1,) * value.ndim if port.dims is None else port.dims
    return TensorflowPort(port.name, port.datatype, dims)


def _is_independent(trials: TrialRuns, found: Findings) -> bool:
    """Whether two rows gave together what each gave alone, but for the rounding of floats."""
    singles = [trials.attempt(row) for row in one_by_one(found.example)]
    for name, batch in found.outputs.items():
        rows = [single[name] for single in singles if single is not None]
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
