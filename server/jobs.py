"""What waits in a model's queue, and what bounds that queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import orjson

from server.calls import Outcome
from server.codec.call import Call

log = logging.getLogger("kserve")

T = TypeVar("T")

#: takes a request's outcome, on the event loop
Done: TypeAlias = Callable[[Outcome], None]


@dataclass(frozen=True)
class Limits:
    """What bounds a model's queue."""

    max_rows: int = 256  #: rows in one merged call
    max_queue: int = 1024  #: requests that may wait
    timeout: float = 60.0  #: seconds that a request may wait
    lanes: int = 1  #: calls at the same time, at most: `Lanes` learns how many pay
    all_lanes: bool = False  #: so many from the start


class Job:
    """A request in the queue."""

    __slots__ = ("call", "deadline", "done", "gone", "key", "over", "start")

    def __init__(
        self, call: Call, key: Any, done: Done, start: float, deadline: float, gone: Callable[[], bool]
    ) -> None:
        self.call = call
        self.key = key
        self.done = done
        self.start = start
        self.deadline = deadline
        self.gone = gone
        self.over = False  #: it has its outcome, or nobody wants one any more

    def resolve(self, outcome: Outcome) -> None:
        """Tell the caller, once."""
        if not self.over:
            self.over = True
            try:
                self.done(outcome)
            except Exception:  # ours; those behind it in the queue must not pay for it
                log.exception("an answer could not be handed over")


def key_of(call: Call) -> object:
    """What requests that share a call agree in."""
    if call.key:
        return call.key
    shapes = tuple([(name, array.dtype, array.shape[1:]) for name, array in call.inputs.items()])
    return shapes, orjson.dumps(call.parameters, option=orjson.OPT_SORT_KEYS) if call.parameters else b""


def into(future: asyncio.Future[T]) -> Callable[[T], None]:
    """Puts an outcome into a future, unless who waited for it has gone: it is cancelled a turn before they are told."""

    def put(outcome: T) -> None:
        if not future.done():
            future.set_result(outcome)

    return put
