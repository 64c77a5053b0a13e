"""Greedy batching: one queue a model. No timer: a free model takes everything that waits; otherwise requests gather.

    put --> pending --(the loop's next turn, a lane is free)--> Dispatcher.run --> merge, predict, split --> `done`

An idle model answers at the latency of a direct call; a busy one answers all who waited with one call; requests that
arrive in one turn of the event loop share a call, and those of a few turns where calls are dear (`gathering`). A model
whose requests come singly while others are asked a lot does not wait for the next turn, which may be a long one.
Safe because
    * only requests that agree in input names, dtypes, trailing shapes and parameters share a call;
    * every input was checked against the signature before it got here;
    * an output that is not as long as its input is told from a good one;
    * when a merged call fails, its requests are run again one by one, so that only the culprit fails;
    * a caller that is gone, or past its deadline, is dropped before the call and disturbs nobody after it.

The queue lives on the event loop; where a call runs is `dispatch`'s to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from adapters.base import Tensors
from server.codec.request import DecodedRequest
from server.errors import QueueFull, ServingError
from server.inference.batching.adaptive import Coalescing, ConcurrencyLimit
from server.inference.batching.executor import Begin, Dispatcher
from server.inference.batching.fairness import FAIRNESS, FEW, IN_A_ROW, Fairness
from server.inference.batching.merging import BatchCaller, Outcome, Predict
from server.inference.batching.queue import Limits, QueuedRequest, RequestQueue, into, key_of
from server.inference.batching.threads import Executor

log = logging.getLogger("kserve")


@dataclass(eq=False)
class Batcher:
    """The queue of one model."""

    predict: Predict
    executor: Executor
    limits: Limits = field(default_factory=Limits)
    merges: bool = True  #: rows are independent: requests may share a call
    batched: bool = True  #: the first dimension of every tensor is the batch
    name: str = "model"
    on_failure: Callable[[BaseException], None] = lambda _: None
    on_call: Callable[[int, list[float]], None] = lambda rows, waits: None  #: rows of a call, seconds that each waited
    steady: bool = False  #: how long a call takes depends on its inputs' shapes alone
    cores: Callable[[], int] = lambda: 1  #: threads that a large call may be dealt out to, now
    begin: Begin | None = None  #: for a model that is elsewhere
    turns: Fairness = FAIRNESS
    dispatcher: Dispatcher = field(init=False)
    gathering: Coalescing = field(init=False)
    _pending: RequestQueue = field(init=False)
    _little: int = 0  #: requests in a row of which each found few others waiting
    _due: bool = False  #: the queue is looked at in the loop's next turn
    _single: bool = False  #: the latest call had one request, and none began in this turn of the loop
    _answering: int = 0  #: calls whose answers are on their way
    _sweep: asyncio.TimerHandle | None = None
    _closed: ServingError | None = None
    _when_idle: Callable[[], None] | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def __post_init__(self) -> None:
        self._pending = RequestQueue(self.name, self.limits.timeout)
        caller = BatchCaller(self.predict, self.batched, self.on_failure)
        self.dispatcher = Dispatcher(
            caller,
            self.executor,
            ConcurrencyLimit(self.limits.lanes, now=self.limits.lanes if self.limits.all_lanes else 1),
            self.steady,
            self.merges,
            self.cores,
            saturated=lambda: bool(self._pending),
            begin=self.begin,
            leaves=self._beside_few,
        )
        self.gathering = Coalescing(self.limits.max_rows, self.dispatcher.cost)

    def read(self, size: int, decode: Callable[[], None]) -> None:
        """Call `decode`, which reads a body of `size` bytes: now, or when this model's turn comes."""
        if self._beside_few():
            self.turns.reading.soon(self._here(), id(self), size, decode)
        else:
            decode()

    def put(self, job: QueuedRequest) -> None:
        """Queue one request, which is resolved on this event loop: later, or before this returns.

        Raises:
            QueueFull, NotReady (it is closed).
        """
        if self._closed:
            raise self._closed
        if len(self._pending) >= self.limits.max_queue and not self._pending.drop_gone():
            raise QueueFull(f"{self.name} has {len(self._pending)} requests waiting (limit max_queue): try again later")
        loop = self._here()
        start = loop.time()
        self._asked(start)
        job.key = key_of(job.decoded) if self.merges else None
        job.enqueued_at, job.deadline = start, start + self.limits.timeout
        self._pending.append(job)
        if not self._due:
            if self._comes_singly and self.turns.shared(start):
                self._begin_now(loop)
            else:
                self._look_again(loop)

    def _beside_few(self) -> bool:
        """Another model is asked, and only a little: a core is left to it, to its callers and to the event loop."""
        return self.turns.beside_few(id(self), self._here().time())

    def _here(self) -> asyncio.AbstractEventLoop:
        """The loop that runs; to ask for it is a system call, on Python 3.11."""
        loop = self._loop
        if loop is None or loop.is_closed():
            loop = self._loop = asyncio.get_running_loop()
        return loop

    def _asked(self, now: float) -> None:
        model = id(self)
        self.turns.asked(model, now)
        if len(self._pending) + self.turns.reading.waiting(model) > FEW:
            self._little = 0
        elif self._little < IN_A_ROW:
            self._little += 1
        else:
            self.turns.asked_little(model, now)

    def drop(self, job: QueuedRequest) -> None:
        """Nobody waits for this request any more."""
        job.finished = True
        with contextlib.suppress(ValueError):  # it runs already
            self._pending.remove(job)

    async def submit(self, call: DecodedRequest, gone: Callable[[], bool] = bool) -> Tensors:
        """The model's outputs for one request.

        Raises:
            QueueFull, DeadlineExceeded, ModelFailed, InvalidInput (the model's own refusal).
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        job = QueuedRequest(call, into(future), gone)
        self.put(job)
        try:
            outcome = await future
        except asyncio.CancelledError:
            self.drop(job)
            raise
        if isinstance(outcome, ServingError):
            raise outcome
        return outcome

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._pending)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self._pending and not self.dispatcher.running and not self._answering

    def close(self, error: ServingError, when_idle: Callable[[], None]) -> None:
        """Answer what waits and what still comes with `error`; call `when_idle` once what runs has ended.

        May be called from any thread.
        """
        if self._loop is None or self._loop.is_closed():  # nothing ever came, or nobody is left to wait
            self._closed = error
            when_idle()
        else:
            self._loop.call_soon_threadsafe(self._close, error, when_idle)

    def _close(self, error: ServingError, when_idle: Callable[[], None]) -> None:
        self._closed = error
        self._when_idle = when_idle
        while self._pending:
            self._pending.popleft().resolve(error)
        if self._sweep is not None:
            self._sweep.cancel()  # a timer would keep the model in memory
        self._told_idle()

    def _told_idle(self) -> None:
        if self._when_idle is not None and not self.dispatcher.running and not self._answering:
            when_idle, self._when_idle = self._when_idle, None
            when_idle()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin calls, unless they are dear and more is on its way."""
        self._due = True
        if self.merges and self.gathering.waits(len(self._pending), loop.time()):
            loop.call_soon(self._start, loop)
        else:
            self._begin_calls(loop)

    def _begin_calls(self, loop: asyncio.AbstractEventLoop) -> None:
        """As many as there are free lanes; one that ran on this loop lets others have a turn."""
        self._due = True
        here = False
        try:
            while (
                not here
                and self._may_begin
                and (batch := self._pending.take(now := loop.time(), self.merges, self._most_rows()))
            ):
                self._single = len(batch) == 1
                rows = sum([job.decoded.rows for job in batch])
                self._tell(rows, [now - job.enqueued_at for job in batch])
                self.dispatcher.run(loop, [job.decoded for job in batch], rows, partial(self._finish, loop, batch))
                here = batch[0].finished
        finally:
            self._due = False
        if self._pending:
            self._look_again(loop)

    @property
    def _comes_singly(self) -> bool:
        """The request that came just now needs not wait for others of its turn: there have been none."""
        return self._single and len(self._pending) == 1 and not self.dispatcher.running and not self._answering

    def _begin_now(self, loop: asyncio.AbstractEventLoop) -> None:
        """In this turn; whatever else comes in it is gathered."""
        self._begin_calls(loop)
        self._single = False
        loop.call_soon(self._turned)

    def _turned(self) -> None:
        self._single = not self._pending

    def _tell(self, rows: int, waits: list[float]) -> None:
        try:
            self.on_call(rows, waits)
        except Exception:  # ours; the batch is no longer in the queue, and must be answered all the same
            log.exception("a call could not be counted")

    @property
    def _may_begin(self) -> bool:
        """Something waits, a lane is free, and it is worth being used."""
        if not self._pending or self._answering or not self.dispatcher.free:
            return False
        if not self.dispatcher.running or not self.merges or not self.gathering.pays:
            return True
        enough = self.gathering.enough
        return len(self._pending) >= enough or self._pending.rows >= enough

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the next turn if a call may begin, when the oldest has waited too long otherwise."""
        if self._may_begin:
            if not self._due:
                self._due = True
                loop.call_soon(self._start, loop)
        elif self._sweep is None:
            self._sweep = loop.call_at(self._pending[0].deadline, self._expire, loop)

    def _finish(self, loop: asyncio.AbstractEventLoop, batch: list[QueuedRequest], outcomes: Sequence[Outcome]) -> None:
        # another process computes while this one writes: enough is enough there
        most = self.limits.max_rows if self.begin is None else self.gathering.enough
        gathers = self.merges and self.gathering.pays and len(self._pending) < most
        if self._pending and not self._due and not gathers:
            self._begin_calls(loop)  # the model need not wait until the answers are written
        self._answering += 1
        few = self.turns.at_once(id(self), loop.time())
        self._answer(loop, zip(batch, outcomes, strict=True), few if few < len(batch) else 0)

    def _answer(
        self, loop: asyncio.AbstractEventLoop, answers: Iterator[tuple[QueuedRequest, Outcome]], few: int
    ) -> None:
        """All, or a few in each turn of the loop: others' requests get theirs, this model's own wait for the last."""
        for told, (job, outcome) in enumerate(answers, 1):
            job.resolve(outcome)
            if told == few:
                loop.call_soon(self._answer, loop, answers, few)
                return
        self._answering -= 1
        if self._pending and not self._due:
            self._look_again(loop)
        self._told_idle()

    def _most_rows(self) -> int:
        """Of the next call."""
        lanes = self.dispatcher.free
        if lanes < 2 or not self.merges or not self.gathering.pays:
            return self.limits.max_rows
        return self.gathering.share(self._pending.rows, lanes)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer those that waited too long."""
        self._sweep = None
        self._pending.expire(loop.time())
        if self._pending:
            self._sweep = loop.call_at(self._pending[0].deadline, self._expire, loop)
