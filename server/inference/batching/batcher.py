"""Greedy batching: one queue a model. No timer: a free model takes everything that waits; otherwise requests gather.

    put --> queue --(the loop's next turn)--> policy.next --> the call, inline or by the executor --> request.resolve

An idle model answers at the latency of a direct call; a busy one answers all who waited with one call; requests that
arrive in one turn of the event loop share a call. `policy.py` says when a call begins, with how many rows, where it
runs, and how its answers are written; `queue.py` who may wait and for how long; `merging.py` why a shared call is safe.

All of it lives on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter, thread_time

from server.errors import ServingError
from server.inference.batching.executor import Begin, Call, CallExecutor, Place
from server.inference.batching.fairness import answer_in_turns
from server.inference.batching.merging import BatchCaller, Outcome, Predict, key_of
from server.inference.batching.policy import TRAFFIC, ExecutionPolicy, Traffic
from server.inference.batching.queue import BoundedQueue, Limits, QueuedRequest
from server.inference.batching.threads import Executor, spare
from server.inference.batching.tuning import TUNING, Tuning

log = logging.getLogger("kserve")


@dataclass(eq=False)
class Batcher:
    """The queue of one model, and the calls that are made out of it."""

    predict: Predict
    executor: Executor
    limits: Limits = field(default_factory=Limits)
    merges: bool = True  #: rows are independent: requests may share a call
    batched: bool = True  #: the first dimension of every tensor is the batch
    name: str = "model"
    on_call: Callable[[int, list[float]], None] = lambda rows, waits: None  #: rows of a call, seconds that each waited
    steady: bool = False  #: how long a call takes depends on its inputs' shapes alone
    cores: Callable[[], int] = lambda: 1  #: threads that a large call may be dealt out to, now
    begin: Begin | None = None  #: for a model that is elsewhere
    traffic: Traffic = TRAFFIC
    tuning: Tuning = TUNING

    def __post_init__(self) -> None:
        self.queue: BoundedQueue[QueuedRequest] = BoundedQueue(self.name, self.limits)
        self.policy = ExecutionPolicy(
            self.limits,
            merges=self.merges,
            steady=self.steady,
            remote=self.begin is not None,
            cores=self.cores,
            spare_cores=partial(spare, self.executor),
            traffic=self.traffic,
            tuning=self.tuning,
        )
        caller = BatchCaller(self.predict, self.batched)
        self.calls = CallExecutor(caller, self.executor, self.begin, self._ended)
        self._look_is_due = False  #: calls are being begun, or will be in the loop's next turn
        self._answering = 0  #: calls whose answers are on their way
        self._when_idle: Callable[[], None] | None = None  #: it is closed, and this is called once nothing runs

    @property
    def reads_at_once(self) -> bool:
        """Whether a body that comes now is read now, not by `read_later`."""
        return self.policy.decodes_at_once(self.queue.loop.time())

    def read_later(self, size: int, decode: Callable[[], None]) -> None:
        """Call `decode`, which reads a body of `size` bytes, when this model's turn comes."""
        self.policy.decode_later(self.queue.loop, size, decode)

    def put(self, request: QueuedRequest) -> None:
        """Queue one request; it is resolved with its outcome on this event loop: later, or before this returns.

        Raises:
            QueueFull, NotReady (it is closed).
        """
        if self.merges:
            request.key = request.decoded.key or key_of(request.decoded)  # most have one: a call less
        queue, policy = self.queue, self.policy
        queue.put(request)
        waiting, now = len(queue), request.enqueued_at
        policy.arrived(waiting - 1, now)
        if self._look_is_due:
            return
        if not self._answering and policy.begins_at_once(waiting, now):
            self._begin_calls()
            policy.began_at_once()
            queue.loop.call_soon(policy.turn_ended, queue)
        else:
            self._look_soon()

    def drop(self, request: QueuedRequest) -> None:
        """Nobody waits for this request any more."""
        self.queue.discard(request)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self.queue)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self.queue and not self._busy

    def close(self, error: ServingError, when_idle: Callable[[], None]) -> None:
        """Answer what waits and what still comes with `error`; call `when_idle` once what runs has ended.

        May be called from any thread.
        """

        def closed() -> None:
            self._when_idle = when_idle
            self._tell_when_idle()

        self.queue.close(error, closed)

    def _look_soon(self) -> None:
        """In the loop's next turn, if a call may begin then."""
        if not self._look_is_due and not self._answering and self.policy.may_begin(self.queue):
            self._look_is_due = True
            self.queue.loop.call_soon(self._look)

    def _look(self) -> None:
        """Begin calls, unless they are dear and more is on its way."""
        loop = self.queue.loop
        if self.policy.waits_for_more(len(self.queue), loop.time()):
            loop.call_soon(self._look)
        else:
            self._begin_calls()

    def _begin_calls(self) -> None:
        """As many as may run; one that ran on this loop lets others have a turn."""
        self._look_is_due = True
        loop, ended = self.queue.loop, False
        try:
            while not ended and not self._answering:
                call = self.policy.next(self.queue, loop.time())
                if call is None:
                    break
                self._count(call)
                self._run(call, loop)
                ended = call.requests[0].finished
        finally:
            self._look_is_due = False
        if self.queue:
            self._look_soon()

    def _run(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        if call.place is Place.INLINE:
            started = thread_time()
            outcomes = self.calls.caller.run(call.decoded)
            call.seconds = call.cpu = thread_time() - started
            self._ended(call, outcomes)
        else:
            self.calls.start(loop, call)

    def _count(self, call: Call) -> None:
        now = perf_counter()
        try:
            self.on_call(call.rows, [now - request.decoded_at for request in call.requests])
        except Exception:  # ours; the requests are no longer in the queue, and must be answered all the same
            log.exception("a call could not be counted")

    def _ended(self, call: Call, outcomes: Sequence[Outcome]) -> None:
        """Answer a call's requests; the model's own next ones wait for the last of them, unless they have begun."""
        self.policy.finished(call, len(self.queue))
        if not self._look_is_due and self.policy.begins_before_answers(len(self.queue)):
            self._begin_calls()
        self._answering += 1
        loop = self.queue.loop
        answers = zip(call.requests, outcomes, strict=True)
        a_turn = self.policy.answers_a_turn(loop.time())
        if 0 < a_turn < len(call.requests):
            answer_in_turns(loop, answers, a_turn, self._answered)
        else:
            for request, outcome in answers:
                request.resolve(outcome)
            self._answered()

    def _answered(self) -> None:
        self._answering -= 1
        if self.queue:
            self._look_soon()
        if self._when_idle is not None:
            self._tell_when_idle()

    @property
    def _busy(self) -> bool:
        return self.policy.running > 0 or self._answering > 0

    def _tell_when_idle(self) -> None:
        # where the loop has ended, nobody is told of the end of what still runs
        if self._when_idle is not None and not (self._busy and self.queue.has_loop):
            when_idle, self._when_idle = self._when_idle, None
            when_idle()
