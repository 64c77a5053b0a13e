"""How a model takes rows, found out by running it on made-up ones while it is loaded.

What its file declares is often wrong or missing: an exporter promises any number of rows and then reshapes to one, a
free first dimension is a length and no batch, a convolution takes any height but 1. So the model is run with two rows,
then three, at one size after the other, and what it does decides how requests are put to it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np

from adapters.base import Array, Tensors
from adapters.datatypes import NUMPY_OF

#: of processor time, after which no further inputs are tried; and so many times that by the clock
MAX_SECONDS, _BY_THE_CLOCK = 10.0, 6

#: runs the model; raises whatever it raises when its inputs do not fit
Run: TypeAlias = Callable[[Tensors], Tensors]
#: makes inputs of one size and kind: with that many rows, or (None) whole tensors, as a model without rows takes them
Make: TypeAlias = Callable[[int | None], Tensors]
#: what to try for that many rows, the likeliest first
Candidates: TypeAlias = Callable[[int | None], Iterable[Make]]


class Rows(Enum):
    """How the rows of a request reach the model."""

    TOGETHER = "the first dimension is the batch"
    ONE_BY_ONE = "the model takes one row a run"
    NONE = "there are no rows: a request is one run with whole tensors"


@dataclass(frozen=True)
class Findings:
    """How requests are put to the model, and the run that showed it."""

    rows: Rows
    make: Make
    count: int | None  #: rows of that run
    outputs: Tensors  #: what it gave; {} if the model never ran

    @property
    def example(self) -> Tensors:
        """Inputs that the model accepted; two rows, where there are rows."""
        return self.make(2 if self.rows is Rows.ONE_BY_ONE else self.count)


class TrialTime:
    """How long inputs are tried.

    It is this thread's own processor time that counts: what a model takes must not depend on what else the machine has
    to do. The clock counts for models that compute in threads of their own.
    """

    def __init__(self) -> None:
        self._computed = time.thread_time() + MAX_SECONDS
        self._passed = time.monotonic() + _BY_THE_CLOCK * MAX_SECONDS

    def is_over(self) -> bool:
        return time.thread_time() > self._computed or time.monotonic() > self._passed


class TrialRuns:
    """Runs one model on inputs that may not fit."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._time = TrialTime()
        self.error: Exception | None = None  #: what the model said last of inputs that do not fit

    def attempt(self, inputs: Tensors) -> Tensors | None:
        """What the model gives, or None if it refuses the inputs, or gives nothing."""
        try:
            return self._run(inputs) or None
        except Exception as error:  # an answer, too: these inputs do not fit
            self.error = error
            return None

    def first(self, candidates: Iterable[Make], rows: int | None) -> tuple[Make, Tensors] | None:
        """The first candidate that the model accepts with so many rows, of those that it is shown in time."""
        for make in candidates:
            if (outputs := self.attempt(make(rows))) is not None:
                return make, outputs
            if self._time.is_over():
                break
        return None

    def findings(
        self, candidates: Candidates, *, batch: bool, single: bool, uneven: bool = False, alike: bool = False
    ) -> Findings | None:
        """What the first candidates show that the model accepts; None if it accepts none.

        `batch` says that it may take any number of rows, `single` that it may take one a run. `uneven` and `alike` are
        those of `together`.
        """
        if batch and (found := self.first(candidates(2), 2)):
            rows = Rows.TOGETHER if self.together(*found, uneven=uneven, alike=alike) else Rows.NONE
            return Findings(rows, found[0], 2, found[1])
        if single and (found := self.first(candidates(1), 1)) and all_have(found[1], 1):
            return Findings(Rows.ONE_BY_ONE, found[0], 1, found[1])
        if found := self.first(candidates(None), None):
            return Findings(Rows.NONE, found[0], None, found[1])
        return None

    def together(self, make: Make, two: Tensors, *, uneven: bool, alike: bool) -> bool:
        """Whether outputs have as many rows as the inputs: two, of which `two` came, and three.

        With `alike` the third row is the first once more, so that what tells different rows is no batch. With `uneven`
        each input is given more rows than the others: where that changes the outputs, the rows are no batch either.
        """
        inputs = make(2)
        three = self.attempt({name: array[[0, 1, 0]] for name, array in inputs.items()} if alike else make(3))
        if three is None or not all_have(two, 2) or not all_have(three, 3):
            return False
        return not (uneven and self._uneven(make, two))

    def _uneven(self, make: Make, two: Tensors) -> bool:
        even, longer = make(2), make(3)
        runs = (self.attempt({**even, name: longer[name]}) for name in even)
        return any(outputs is not None and not same(outputs, two) for outputs in runs)


def all_have(outputs: Tensors, rows: int) -> bool:
    """Whether every output's first dimension is that long."""
    return all(array.shape[:1] == (rows,) for array in outputs.values())


def same(outputs: Tensors, others: Tensors) -> bool:
    """Whether two runs gave the same, to the bit; NaN is never the same."""
    return outputs.keys() == others.keys() and all(
        outputs[name].shape == others[name].shape and outputs[name].tolist() == others[name].tolist()
        for name in outputs
    )


def fitting(
    sizes: Iterable[int], shapes: Callable[[int], Iterable[tuple[int, ...]]], max_elements: int
) -> Iterator[int]:
    """Those of the sizes at which no input has too many elements; 1 always is."""
    for size in sizes:
        if size == 1 or all(math.prod(shape) <= max_elements for shape in shapes(size)):
            yield size


def ramp(datatype: str, shape: tuple[int, ...]) -> Array:
    """Numbers in rows that differ: 0.0, 0.1, ... for floats, and zeros and ones else, for they may be indexes."""
    dtype = NUMPY_OF[datatype]
    row, column = np.ogrid[: shape[0] if shape else 1, : math.prod(shape[1:])]
    values = (row + column) % 10 / 10 if dtype.kind == "f" else (row + column) % 2
    return values.reshape(shape).astype(dtype)
