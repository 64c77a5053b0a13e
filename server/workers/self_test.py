"""Does a freshly loaded model answer its own example, and is each row's answer independent of its neighbours?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.base import Adapter, Array, Tensors
from adapters.shared.messages import shortened, without_trace

#: what a child is at, by the stage that it announces
DOING = {"load": "loading it", "example": "predicting its own example"}

_RTOL = 1e-3  #: a batch may take other native code than a single row, which rounds differently
_ATOL = 1e-5  #: of the largest value in the tensor
_MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What came of it. `error` is a warning: the example is made up, and a sound model may refuse it."""

    batchable: bool
    error: str = ""


def self_test(adapter: Adapter) -> SelfTest:
    """Predict the adapter's example; where rows may be merged, also row by row, and compare."""
    declared = adapter.traits.batchable and adapter.signature.batched
    try:
        example = adapter.example()
        if not example and adapter.signature.inputs:  # nobody knows what the model takes
            return SelfTest(declared)
        together = adapter.predict(example, {})
    except Exception as error:  # whatever a framework raises
        return SelfTest(declared, one_line(error))
    if not declared:
        return SelfTest(batchable=False)
    try:
        rows = len(next(iter(example.values())))
        singles = [
            adapter.predict({name: rows_[n : n + 1] for name, rows_ in example.items()}, {}) for n in range(rows)
        ]
    except Exception as error:
        return SelfTest(batchable=False, error=f"a single row: {one_line(error)}")
    return SelfTest(rows > 1 and same_rows(together, singles))


def one_line(error: BaseException) -> str:
    """`TypeName: message` on one line of bounded length, without what only a native library's makers understand."""
    text = without_trace(f"{type(error).__name__}: {error}")
    return shortened(" ".join(text.split()).removesuffix(":"), _MAX_REASON)


def same_rows(together: Tensors, singles: list[Tensors]) -> bool:
    """Whether a batch's outputs are those of its rows alone: exact, but for the rounding of floats."""
    if any(single.keys() != together.keys() for single in singles):
        return False
    for name, batch in together.items():
        rows = [single[name] for single in singles]
        if any(row.shape != (1, *batch.shape[1:]) for row in rows) or len(batch) != len(rows):
            return False
        if not _same(batch, np.concatenate(rows)):
            return False
    return True


def _same(one: Array, other: Array) -> bool:
    if one.dtype.kind != other.dtype.kind:
        return False
    if one.dtype.kind == "O":
        return all(_same_value(a, b) for a, b in zip(one.flat, other.flat, strict=True))
    if np.array_equal(one, other):  # most are, which takes a tenth of the time
        return True
    if one.dtype.kind not in "fc":
        return False
    scale = np.abs(one[np.isfinite(one)]).max(initial=0)
    return np.allclose(one, other, rtol=_RTOL, atol=_ATOL * float(scale), equal_nan=True)


def _same_value(one: Any, other: Any) -> bool:
    """The same for JSON values: structure, texts and whole numbers exactly, floats nearly."""
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=_RTOL, abs_tol=_ATOL)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same_value(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_same_value(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and _same(one, other)
    return type(one) is type(other) and bool(one == other)
