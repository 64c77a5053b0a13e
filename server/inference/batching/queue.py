"""Who waits for a model, whatever for: rows to be predicted, a request that it reads whole, or its being loaded.

    put --> waits, in the order of deadlines --> pop_wanted --> resolve
      |       |-- its deadline passes: DeadlineExceeded, by a timer
      |       |-- its client hangs up: ClientGone, when its turn comes or when others need its place
      |       `-- the queue is closed: the error that it is closed with
      `-- `max_queue` wait whose clients are still there: QueueFull

There is one queue for each model and kind of waiting, and one rule for all of them. Everything but `close` happens on
the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from time import perf_counter
from typing import Any, Generic, TypeAlias, TypeVar

from adapters.base import Tensors
from server.codec.decoded_request import DecodedRequest
from server.config.settings import Settings
from server.errors import ClientGone, DeadlineExceeded, QueueFull, ServingError
from server.inference.batching.tuning import TUNING

log = logging.getLogger("kserve")

T = TypeVar("T")
W = TypeVar("W", bound="Waiter[Any]")

#: tells whether the client of a request has hung up
IsDisconnected: TypeAlias = Callable[[], bool]


def never_disconnected() -> bool:
    """The `IsDisconnected` of a client that cannot be asked."""
    return False


@dataclass(frozen=True)
class Limits:
    """What bounds a model's queue, and its calls."""

    max_rows: int = 256  #: rows in one merged call
    max_queue: int = 1024  #: requests that may wait
    timeout: float = 60.0  #: seconds that a request may wait
    concurrency: int = 1  #: calls at the same time, at most: `ConcurrencyLimit` learns how many pay
    fixed_concurrency: bool = False  #: so many from the start, and always


def limits_of(settings: Settings, cores: int) -> Limits:
    """What bounds the queue of a model that does not say otherwise."""
    concurrency = min(cores, TUNING.max_concurrency)
    return Limits(settings.max_batch_rows, settings.max_queue, settings.request_timeout, concurrency)


class Waiter(Generic[T]):
    """One who waits in a queue for a `T`, or for the error that stands in its place."""

    __slots__ = ("deadline", "done", "enqueued_at", "finished", "is_disconnected")

    def __init__(
        self,
        done: Callable[[T | ServingError], None],
        is_disconnected: IsDisconnected = never_disconnected,
        deadline: float = math.inf,
    ) -> None:
        """`done` takes the outcome, on the event loop; `deadline` is one of its own, in seconds of the loop's clock."""
        self.done = done
        self.is_disconnected = is_disconnected
        self.deadline = deadline  #: the queue's, where that is earlier
        self.enqueued_at = 0.0  #: set by the queue, in seconds of the loop's clock
        self.finished = False  #: it has its outcome, or nobody wants one any more

    def resolve(self, outcome: T | ServingError) -> None:
        """Tell the outcome, once."""
        if not self.finished:
            self.finished = True
            try:
                self.deliver(outcome)
            except Exception:  # ours; those behind it in the queue must not pay for it
                log.exception("an answer could not be handed over")

    def deliver(self, outcome: T | ServingError) -> None:
        """Hand the outcome to who waits for it; a subclass may know another way than `done`."""
        self.done(outcome)


class QueuedRequest(Waiter[Tensors]):
    """A decoded request that waits for its outputs.

    A subclass need not call `__init__`; what the queue reads has to be there when it is put.
    """

    __slots__ = ("decoded", "decoded_at", "key")

    def __init__(
        self,
        decoded: DecodedRequest,
        done: Callable[[Tensors | ServingError], None],
        is_disconnected: IsDisconnected = never_disconnected,
    ) -> None:
        super().__init__(done, is_disconnected)
        self.decoded = decoded
        #: when it began to wait, by `perf_counter` as all steps of requests are: a loop's clock ticks in milliseconds
        self.decoded_at = perf_counter()
        self.key: object = None  #: set by the batcher: equal for those that may share a call


class BoundedQueue(deque[W]):
    """Those who wait for one model, the earliest deadline first; without deadlines of their own, the oldest first."""

    __slots__ = ("_limits", "_loop", "_name", "_timer", "closed")

    def __init__(self, name: str, limits: Limits) -> None:
        """`name` is the model's, for messages."""
        super().__init__()
        self._name = name
        self._limits = limits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.closed: ServingError | None = None  #: what whoever still comes is refused with

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running event loop; it is kept, as to ask for it is a system call on Python 3.11."""
        loop = self._loop
        if loop is None or loop.is_closed():
            loop = self._loop = asyncio.get_running_loop()
            self._timer = None  # one of a loop that has ended never comes
        return loop

    @property
    def has_loop(self) -> bool:
        """Somebody came, and the event loop that they came on has not ended."""
        return self._loop is not None and not self._loop.is_closed()

    def check_open(self) -> asyncio.AbstractEventLoop:
        """Somebody has come; the event loop that they came on, and on which the queue will be closed.

        Raises:
            ServingError: what the queue was closed with.
        """
        if self.closed is not None:
            raise self.closed
        return self.loop

    def put(self, waiter: W) -> None:
        """Let one more wait, until its deadline or for `request_timeout`, whichever is earlier.

        Raises:
            QueueFull: as many wait as may, and none of their clients has hung up.
            ServingError: what the queue was closed with.
        """
        if self.closed is not None:  # `check_open`, which every request would have to call
            raise self.closed
        loop = self.loop
        if len(self) >= self._limits.max_queue and not self.drop_disconnected():
            raise QueueFull(f"{self._name} has {len(self)} requests waiting (limit max_queue): try again later")
        waiter.enqueued_at = now = loop.time()
        latest = now + self._limits.timeout
        if waiter.deadline > latest:
            waiter.deadline = latest
            self.append(waiter)
            if self._timer is None:
                self._watch_deadlines()
        else:
            insort(self, waiter, key=attrgetter("deadline"))
            if self[0] is waiter:
                self._watch_deadlines()

    def discard(self, waiter: W) -> None:
        """Nobody waits for this outcome any more."""
        waiter.finished = True
        with contextlib.suppress(ValueError):  # its turn has come already
            self.remove(waiter)

    def pop_wanted(self, now: float) -> W | None:
        """The first whose outcome is still wanted, taken out; those before it are let go."""
        while self:
            waiter = self.popleft()
            if waiter.finished:
                continue
            if waiter.deadline <= now:
                waiter.resolve(self._too_late())
            elif waiter.is_disconnected():
                waiter.resolve(_hung_up())
            else:
                return waiter
        return None

    def drop_disconnected(self) -> bool:
        """Let go of those whose clients hung up while they waited; whether there were any."""
        disconnected = [waiter for waiter in self if waiter.is_disconnected()]
        for waiter in disconnected:
            self.remove(waiter)
            waiter.resolve(_hung_up())
        return bool(disconnected)

    def resolve_all(self, outcome: Any) -> None:
        """Everybody who waits has the same outcome."""
        while self:
            self.popleft().resolve(outcome)
        if self._timer is not None:
            self._timer.cancel()  # it would keep the queue, and whatever waits in its callbacks, in memory
            self._timer = None

    def close(self, error: ServingError, then: Callable[[], None]) -> None:
        """Answer who waits and who still comes with `error`, then call `then`. May be called from any thread."""
        if self._loop is not None and self.has_loop:
            self._loop.call_soon_threadsafe(self._close, error, then)
        else:  # nothing ever came, or nobody is left to wait
            self.closed = error
            then()

    def _close(self, error: ServingError, then: Callable[[], None]) -> None:
        self.closed = error
        self.resolve_all(error)
        then()

    def _watch_deadlines(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(self[0].deadline, self._expire)

    def _expire(self) -> None:
        """Answer those who have waited too long."""
        self._timer = None
        now = self.loop.time()
        while self and (self[0].finished or self[0].deadline <= now):
            self.popleft().resolve(self._too_late())
        if self:
            self._watch_deadlines()

    def _too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"the request waited {self._limits.timeout:g} s for {self._name} (limit request_timeout)"
        )


def into(future: asyncio.Future[T]) -> Callable[[T], None]:
    """Puts an outcome into a future, unless who waited for it has gone: it is cancelled a turn before they are told."""

    def put(outcome: T) -> None:
        if not future.done():
            future.set_result(outcome)

    return put


def _hung_up() -> ClientGone:
    return ClientGone("the client hung up")
