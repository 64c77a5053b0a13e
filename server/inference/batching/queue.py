"""What waits in a model's queue, and what bounds that queue.

The requests of one model that wait, the oldest first; who is late or has gone is let go before a call.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import orjson

from server.codec.request import DecodedRequest
from server.config.settings import Settings
from server.errors import ClientGone, DeadlineExceeded
from server.inference.batching.merging import Outcome

log = logging.getLogger("kserve")

T = TypeVar("T")

#: takes a request's outcome, on the event loop
Done: TypeAlias = Callable[[Outcome], None]


#: calls of one model at the same time, at most
MOST_LANES = 4


@dataclass(frozen=True)
class Limits:
    """What bounds a model's queue."""

    max_rows: int = 256  #: rows in one merged call
    max_queue: int = 1024  #: requests that may wait
    timeout: float = 60.0  #: seconds that a request may wait
    lanes: int = 1  #: calls at the same time, at most: `Lanes` learns how many pay
    all_lanes: bool = False  #: so many from the start


def limits_of(settings: Settings, cores: int) -> Limits:
    """What bounds the queue of a model that does not say otherwise."""
    lanes = min(cores, MOST_LANES)
    return Limits(settings.max_batch_rows, settings.max_queue, settings.request_timeout, lanes)


class QueuedRequest:
    """A request in the queue."""

    __slots__ = ("deadline", "decoded", "done", "enqueued_at", "finished", "is_disconnected", "key")

    def __init__(self, decoded: DecodedRequest, done: Done, is_disconnected: Callable[[], bool]) -> None:
        self.decoded = decoded
        self.done = done
        self.is_disconnected = is_disconnected
        self.finished = False  #: it has its outcome, or nobody wants one any more
        # what the queue sets
        self.key: Any = None
        self.enqueued_at = self.deadline = 0.0

    def resolve(self, outcome: Outcome) -> None:
        """Tell the caller, once."""
        if not self.finished:
            self.finished = True
            try:
                self.done(outcome)
            except Exception:  # ours; those behind it in the queue must not pay for it
                log.exception("an answer could not be handed over")


def key_of(call: DecodedRequest) -> object:
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


class RequestQueue(deque[QueuedRequest]):
    """A queue in the order of arrival, and so of deadlines."""

    __slots__ = ("_name", "_timeout")

    def __init__(self, name: str, timeout: float) -> None:
        """`timeout` is what the deadlines of this model's requests come from, in seconds."""
        super().__init__()
        self._name = name
        self._timeout = timeout

    @property
    def rows(self) -> int:
        """Of all requests together."""
        return sum([job.decoded.rows for job in self])

    def take(self, now: float, merges: bool, most: int) -> list[QueuedRequest]:
        """The oldest request and those that may share its call, in order; the others keep their places.

        Those together have at most so many rows, unless the first alone has more.
        """
        batch: list[QueuedRequest] = []
        rows, others = 0, []
        while self:
            job = self.popleft()
            if job.finished:
                continue
            if job.deadline <= now:
                job.resolve(self._late())
            elif job.is_disconnected():
                job.resolve(_hung_up())
            elif not batch:
                batch.append(job)
                rows = job.decoded.rows
                if not (merges and job.decoded.batched):
                    break
            elif job.key == batch[0].key and rows + job.decoded.rows <= most:
                batch.append(job)
                rows += job.decoded.rows
            else:
                others.append(job)
            if rows >= most:
                break
        if others:
            self.extendleft(reversed(others))
        return batch

    def drop_gone(self) -> bool:
        """Let go of those whose clients hung up while they waited; whether there were any."""
        waiting = len(self)
        for job in [job for job in self if job.is_disconnected()]:
            self.remove(job)
            job.resolve(_hung_up())
        return len(self) < waiting

    def expire(self, now: float) -> None:
        """Answer those that have waited too long."""
        while self and (self[0].finished or self[0].deadline <= now):
            self.popleft().resolve(self._late())

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"the request waited {self._timeout:g} s for {self._name} (limit request_timeout)")


def _hung_up() -> ClientGone:
    return ClientGone("the client hung up")
