"""What models answer, as the arrays that tensors are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from adapters.base import Array, InvalidInput, Tensors, TensorSpec
from adapters.datatypes import datatype_of


def array_of(values: Collection[Any]) -> Array:
    """An object array [n] with one element a value, whatever the values are: lists and arrays stay what they are."""
    return np.fromiter(values, np.object_, len(values))


def specs_of(outputs: Tensors) -> tuple[TensorSpec, ...]:
    """The specs of outputs such as these, for any number of rows."""
    return tuple(TensorSpec(name, datatype_of(array.dtype), (-1, *array.shape[1:])) for name, array in outputs.items())


def joined(runs: Sequence[Tensors]) -> Tensors:
    """The outputs of one run a row, row under row.

    Raises:
        InvalidInput: the rows gave different shapes, which no tensor holds.
    """
    outputs: Tensors = {}
    for name in runs[0]:
        parts = [run[name] for run in runs]
        if len({part.shape for part in parts}) > 1:
            raise InvalidInput(f"output {name!r} has another shape for every instance: send one instance a request")
        outputs[name] = np.concatenate(parts)
    return outputs


def one_by_one(inputs: Tensors) -> list[Tensors]:
    """Every row of the inputs as inputs of its own, of one row."""
    count = len(next(iter(inputs.values())))
    return [{name: array[row : row + 1] for name, array in inputs.items()} for row in range(count)]
