"""One call of the model for several requests: which may share it, then merge, predict, check and split.

Safe because
    * only requests that agree in input names, dtypes, trailing shapes and parameters share a call;
    * every input was checked against the signature before it got here;
    * an output that is not as long as its input is told from a good one;
    * when a merged call fails, its requests are run again one by one, so that only the culprit fails.

A `BatchCaller` runs in whatever thread it is called on, on requests that nobody else touches, and never raises: what a
request gets is its outputs or its error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import orjson

from adapters.base import Parameters, Tensors
from server.codec.decoded_request import DecodedRequest
from server.errors import DeadlineExceeded, ModelFailed, NotReady, ServingError, as_serving_error
from server.inference.batching.queue import BoundedQueue, QueuedRequest

Predict: TypeAlias = Callable[[Tensors, Parameters], Tensors]
Outcome: TypeAlias = Tensors | ServingError


def key_of(decoded: DecodedRequest) -> object:
    """What requests that share a call agree in."""
    if decoded.key:
        return decoded.key
    shapes = tuple([(name, array.dtype, array.shape[1:]) for name, array in decoded.inputs.items()])
    return shapes, orjson.dumps(decoded.parameters, option=orjson.OPT_SORT_KEYS) if decoded.parameters else b""


def rows_of(requests: Iterable[QueuedRequest]) -> int:
    """Of all requests together."""
    return sum([request.decoded.rows for request in requests])


def take(queue: BoundedQueue[QueuedRequest], now: float, merges: bool, max_rows: int) -> list[QueuedRequest]:
    """The first request and those that may share its call, in order; the others keep their places.

    Those together have at most `max_rows` rows, unless the first alone has more.
    """
    batch: list[QueuedRequest] = []
    rows, others = 0, []
    while queue and (request := queue.pop_wanted(now)) is not None:
        if not batch:
            batch.append(request)
            rows = request.decoded.rows
            if not (merges and request.decoded.batched):
                break
        elif request.key == batch[0].key and rows + request.decoded.rows <= max_rows:
            batch.append(request)
            rows += request.decoded.rows
        else:
            others.append(request)
        if rows >= max_rows:
            break
    if others:
        queue.extendleft(reversed(others))
    return batch


def merged(requests: Sequence[DecodedRequest]) -> tuple[Tensors, Parameters]:
    """The inputs and parameters of one call for all."""
    first = requests[0]
    if len(requests) == 1:
        return first.inputs, first.parameters
    inputs = {name: np.concatenate([request.inputs[name] for request in requests]) for name in first.inputs}
    return inputs, first.parameters


@dataclass(frozen=True)
class BatchCaller:
    """How one model is called."""

    predict: Predict
    batched: bool = True  #: the first dimension of every tensor is the batch

    def run(self, requests: Sequence[DecodedRequest]) -> list[Outcome]:
        """An outcome for each request, all of them alike enough to share a call."""
        if len(requests) == 1:
            return [self._one(requests[0])]
        try:
            return self._split(requests, self.predict(*merged(requests)))
        except (NotReady, DeadlineExceeded) as error:
            return self._all(requests, error)
        except BaseException:  # whose fault it is shows when each runs alone
            return self.each(requests)

    def each(self, requests: Sequence[DecodedRequest]) -> list[Outcome]:
        """The same by a call for each."""
        return [self._one(request) for request in requests]

    def shares(self, requests: Sequence[DecodedRequest], outcome: Outcome) -> list[Outcome] | None:
        """What each request gets of the outcome of their call; None where each should run alone."""
        try:
            if not isinstance(outcome, ServingError):
                return self._split(requests, outcome)
        except ModelFailed as error:
            outcome = error
        if isinstance(outcome, NotReady | DeadlineExceeded) or len(requests) == 1:
            return self._all(requests, outcome)
        return None

    def attempt(self, request: DecodedRequest) -> Tensors | None:
        """The outputs for a request, or None where there is anything wrong with them."""
        try:
            outputs = self.predict(request.inputs, request.parameters)
            _check_rows(outputs, request.rows)
        except BaseException:  # whoever asked runs it again, and then tells
            return None
        return outputs

    def _all(self, requests: Sequence[DecodedRequest], error: ServingError) -> list[Outcome]:
        """One error for all. (Where a process died of a call, the next one would die of more of the same.)"""
        return [error] * len(requests)

    def _split(self, requests: Sequence[DecodedRequest], outputs: Tensors) -> list[Outcome]:
        """
        Raises:
            ModelFailed: the outputs are not as long as the inputs.
        """
        if len(requests) == 1:
            if self.batched and requests[0].batched:
                _check_rows(outputs, requests[0].rows)
            return [outputs]
        rows = [request.rows for request in requests]
        _check_rows(outputs, sum(rows))
        return _split(outputs, rows)

    def _one(self, request: DecodedRequest) -> Outcome:
        try:
            return self._split([request], self.predict(request.inputs, request.parameters))[0]
        except BaseException as error:  # SystemExit too: a caller must never be left without an answer
            known = as_serving_error(error)
            if known is not error:
                known.__cause__ = error  # what the log shows of it
            return known


def _check_rows(outputs: Tensors, rows: int) -> None:
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != rows:
            held = "no rows" if array.ndim == 0 else f"{len(array)} rows"
            raise ModelFailed(f"the model answered {held} in {name!r} for {rows} rows of input")


def _split(outputs: Tensors, rows: Sequence[int]) -> list[Outcome]:
    parts: list[Outcome] = []
    start = 0
    if len(outputs) == 1:  # most have one, and it takes less than half of the time
        ((name, array),) = outputs.items()
        for count in rows:
            end = start + count
            parts.append({name: array[start:end]})
            start = end
        return parts
    for count in rows:
        end = start + count
        parts.append({name: array[start:end] for name, array in outputs.items()})
        start = end
    return parts
