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
from server.codec.request import DecodedRequest
from server.errors import DeadlineExceeded, ModelFailed, NotReady, ServingError, as_serving_error

Predict: TypeAlias = Callable[[Tensors, Parameters], Tensors]
Outcome: TypeAlias = Tensors | ServingError


@dataclass(frozen=True)
class BatchCaller:
    """How one model is called."""

    predict: Predict
    batched: bool = True  #: the first dimension of every tensor is the batch
    on_failure: Callable[[BaseException], None] = lambda _: None  #: told what the model failed with

    def run(self, calls: Sequence[DecodedRequest]) -> list[Outcome]:
        """An outcome for each request, all of them alike enough to share a call."""
        if len(calls) == 1:
            return [self._one(calls[0])]
        try:
            return self._split(calls, self.predict(*merged(calls)))
        except (NotReady, DeadlineExceeded) as error:
            return self._all(calls, error)
        except BaseException:  # whose fault it is shows when each runs alone
            return self.each(calls)

    def each(self, calls: Sequence[DecodedRequest]) -> list[Outcome]:
        """The same by a call for each."""
        return [self._one(call) for call in calls]

    def shares(self, calls: Sequence[DecodedRequest], outcome: Outcome) -> list[Outcome] | None:
        """What each request gets of the outcome of their call; None where each should run alone."""
        try:
            if not isinstance(outcome, ServingError):
                return self._split(calls, outcome)
        except ModelFailed as error:
            outcome = error
        if isinstance(outcome, NotReady | DeadlineExceeded) or len(calls) == 1:
            return self._all(calls, outcome)
        return None

    def _all(self, calls: Sequence[DecodedRequest], error: ServingError) -> list[Outcome]:
        """One error for all. (Where a process died of a call, the next one would die of more of the same.)"""
        if isinstance(error, ModelFailed):
            self.on_failure(error)
        return [error] * len(calls)

    def _split(self, calls: Sequence[DecodedRequest], outputs: Tensors) -> list[Outcome]:
        """
        Raises:
            ModelFailed: the outputs are not as long as the inputs.
        """
        if len(calls) == 1:
            if self.batched and calls[0].batched:
                _check_rows(outputs, calls[0].rows)
            return [outputs]
        rows = [call.rows for call in calls]
        _check_rows(outputs, sum(rows))
        return _split(outputs, rows)

    def attempt(self, call: DecodedRequest) -> Tensors | None:
        """The outputs for a request, or None where there is anything wrong with them."""
        try:
            outputs = self.predict(call.inputs, call.parameters)
            _check_rows(outputs, call.rows)
        except BaseException:  # whoever asked runs it again, and then tells
            return None
        return outputs

    def _one(self, call: DecodedRequest) -> Outcome:
        try:
            return self._split([call], self.predict(call.inputs, call.parameters))[0]
        except BaseException as error:  # SystemExit too: a caller must never be left without an answer
            known = as_serving_error(error)
            if isinstance(known, ModelFailed):
                self.on_failure(error)
            return known


def merged(calls: Sequence[DecodedRequest]) -> tuple[Tensors, Parameters]:
    """The inputs and parameters of one call for all."""
    if len(calls) == 1:
        return calls[0].inputs, calls[0].parameters
    inputs = {name: np.concatenate([call.inputs[name] for call in calls]) for name in calls[0].inputs}
    return inputs, calls[0].parameters


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
