"""One call of the model for several requests: merge, predict, check, split; one call each where that fails.

Runs in whatever thread the batcher chooses, on requests that nobody else touches. It never raises: what a request gets
is its outputs or its error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from adapters.base import Parameters, Tensors
from server.codec.call import Call
from server.errors import ModelFailed, NotReady, ServingError, as_serving_error

Predict: TypeAlias = Callable[[Tensors, Parameters], Tensors]
Outcome: TypeAlias = Tensors | ServingError


@dataclass(frozen=True)
class Caller:
    """How one model is called."""

    predict: Predict
    batched: bool = True  #: the first dimension of every tensor is the batch
    on_failure: Callable[[BaseException], None] = lambda _: None  #: told what the model failed with

    def run(self, calls: Sequence[Call]) -> list[Outcome]:
        """An outcome for each request, all of them alike enough to share a call."""
        if len(calls) == 1:
            return [self._one(calls[0])]
        rows = [call.rows for call in calls]
        try:
            merged = {name: np.concatenate([call.inputs[name] for call in calls]) for name in calls[0].inputs}
            outputs = self.predict(merged, calls[0].parameters)
            _check_rows(outputs, sum(rows))
            return _split(outputs, rows)
        except NotReady as error:  # its process died: the next one may be whole, but not by more of the same
            return [error] * len(calls)
        except BaseException:  # whose fault it is shows when each runs alone
            return [self._one(call) for call in calls]

    def attempt(self, call: Call) -> Tensors | None:
        """The outputs for a request, or None where there is anything wrong with them."""
        try:
            outputs = self.predict(call.inputs, call.parameters)
            _check_rows(outputs, call.rows)
        except BaseException:  # whoever asked runs it again, and then tells
            return None
        return outputs

    def _one(self, call: Call) -> Outcome:
        try:
            outputs = self.predict(call.inputs, call.parameters)
            if self.batched and call.batched:
                _check_rows(outputs, call.rows)
        except BaseException as error:  # SystemExit too: a caller must never be left without an answer
            known = as_serving_error(error)
            if isinstance(known, ModelFailed):
                self.on_failure(error)
            return known
        return outputs


def _check_rows(outputs: Tensors, rows: int) -> None:
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != rows:
            held = "no rows" if array.ndim == 0 else f"{len(array)} rows"
            raise ModelFailed(f"the model answered {held} in {name!r} for {rows} rows of input")


def _split(outputs: Tensors, rows: Sequence[int]) -> list[Outcome]:
    parts: list[Outcome] = []
    start = 0
    for count in rows:
        end = start + count
        parts.append({name: array[start:end] for name, array in outputs.items()})
        start = end
    return parts
