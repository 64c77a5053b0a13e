"""Which requests share a call, and what each gets of it."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from adapters.base import InvalidInput as Refusal
from adapters.base import Parameters, Tensors
from server.codec.decoded_request import DecodedRequest
from server.errors import DeadlineExceeded, InvalidInput, ModelFailed, NotReady, ServingError
from server.inference.batching.merging import BatchCaller, key_of, merged, rows_of, take
from server.inference.batching.queue import BoundedQueue, Limits, QueuedRequest


def decoded(rows: int = 1, **parameters: Any) -> DecodedRequest:
    return DecodedRequest({"x": np.arange(rows, dtype=np.float64)}, rows, parameters)


def taken(requests: list[DecodedRequest], merges: bool = True, max_rows: int = 10) -> tuple[list[int], list[int]]:
    """The rows of each request that the next call takes, and of those that stay."""

    async def test() -> tuple[list[int], list[int]]:
        queue: BoundedQueue[QueuedRequest] = BoundedQueue("m", Limits())
        for each in requests:
            request = QueuedRequest(each, lambda outcome: None)
            request.key = key_of(each)
            queue.put(request)
        batch = take(queue, queue.loop.time(), merges, max_rows)
        assert rows_of(batch) + rows_of(queue) == sum(each.rows for each in requests)
        return [each.decoded.rows for each in batch], [each.decoded.rows for each in queue]

    return asyncio.run(test())


def test_what_agrees_shares_a_call_and_the_others_keep_their_places() -> None:
    assert taken([decoded(1), decoded(2, k=1), decoded(3), decoded(4, k=1)]) == ([1, 3], [2, 4])


def test_a_call_is_bounded_but_no_request_is() -> None:
    assert taken([decoded(6), decoded(5), decoded(4), decoded(1)]) == ([6, 4], [5, 1])
    assert taken([decoded(11), decoded(1)]) == ([11], [1])


def test_nothing_is_merged_where_rows_depend_on_each_other() -> None:
    assert taken([decoded(1), decoded(2)], merges=False) == ([1], [2])
    undivided = decoded(1)
    undivided.batched = False
    assert taken([undivided, decoded(2)]) == ([1], [2])


def test_an_empty_queue_has_no_next_call() -> None:
    assert taken([]) == ([], [])


def test_the_decoders_key_goes_before_ours() -> None:
    known = decoded(1)
    known.key = "known"
    assert key_of(known) == "known"
    assert key_of(decoded(1, a=1, b=2)) == key_of(decoded(2, b=2, a=1))
    assert key_of(decoded(1, a=1)) != key_of(decoded(1, a=True))


def test_the_rows_of_all_are_put_together_in_order() -> None:
    inputs, parameters = merged([decoded(2, k=3), decoded(1, k=3)])
    assert inputs["x"].tolist() == [0.0, 1.0, 0.0]
    assert parameters == {"k": 3}
    alone = decoded(2)
    assert merged([alone])[0] is alone.inputs


class Model:
    """Answers its inputs; fails on a call of so many rows."""

    def __init__(self, bad_rows: int = 0, error: BaseException | None = None) -> None:
        self.bad_rows, self.error = bad_rows, error
        self.calls: list[int] = []

    def __call__(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        self.calls.append(len(inputs["x"]))
        if self.error is not None and len(inputs["x"]) == self.bad_rows:
            raise self.error
        return {"y": inputs["x"]}

    @property
    def caller(self) -> BatchCaller:
        return BatchCaller(self)


def test_each_gets_its_own_rows() -> None:
    model = Model()
    outcomes: list[Any] = model.caller.run([decoded(2), decoded(3)])
    assert [outcome["y"].tolist() for outcome in outcomes] == [[0.0, 1.0], [0.0, 1.0, 2.0]]
    assert model.calls == [5]


def test_a_call_that_fails_is_tried_one_by_one() -> None:
    model = Model(5, ValueError("no"))
    outcomes = model.caller.run([decoded(2), decoded(3)])
    assert not any(isinstance(outcome, ServingError) for outcome in outcomes)
    assert model.calls == [5, 2, 3]


@pytest.mark.parametrize("error", [NotReady("gone"), DeadlineExceeded("late")])
def test_a_model_that_is_not_there_is_not_asked_again(error: ServingError) -> None:
    model = Model(5, error)
    assert model.caller.run([decoded(2), decoded(3)]) == [error, error]
    assert model.calls == [5]


@pytest.mark.parametrize(("raised", "kind"), [(Refusal("x is odd"), InvalidInput), (ValueError("no"), ModelFailed)])
def test_a_failure_is_the_models_and_a_refusal_the_callers(raised: BaseException, kind: type[ServingError]) -> None:
    model = Model(1, raised)
    (outcome,) = model.caller.run([decoded(1)])
    assert type(outcome) is kind
    assert outcome.__cause__ is raised
    assert model.caller.attempt(decoded(1)) is None


def test_what_came_from_elsewhere_is_shared_told_to_all_or_asked_again() -> None:
    caller = Model().caller
    both = [decoded(2), decoded(1)]
    shares: Any = caller.shares(both, {"y": np.arange(3)})
    assert [share["y"].tolist() for share in shares] == [[0, 1], [2]]
    gone = NotReady("gone")
    assert caller.shares(both, gone) == [gone, gone]
    assert caller.shares(both, {"y": np.arange(2)}) is None
    assert caller.shares(both, ModelFailed("no")) is None
    (alone,) = caller.shares(both[:1], {"y": np.arange(1)}) or ()
    assert str(alone) == "the model answered 1 rows in 'y' for 2 rows of input"
