"""Greedy batching: one queue a model. No timer: a free model takes everything that waits; otherwise requests gather.

    submit --> pending --(a lane is free)--> merge --> predict in a thread --> split --> each caller's future

An idle model answers at the latency of a direct call; a busy one answers all who waited with one call. Safe because
    * only requests that agree in input names, dtypes, trailing shapes and parameters share a call;
    * every input was checked against the signature before it got here;
    * an output that is not as long as its input is told from a good one;
    * when a merged call fails, its requests are run again one by one, so that only the culprit fails;
    * a caller that is gone, or past its deadline, is dropped before the call and disturbs nobody after it.

The queue lives on the event loop; only `_run` runs in a worker thread, on a batch that nobody else touches.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
import orjson

from adapters.base import Parameters, Tensors
from server.codec.call import Call
from server.errors import ClientGone, DeadlineExceeded, ModelFailed, NotReady, QueueFull, ServingError, as_serving_error
from server.lanes import Lanes
from server.threads import Runs

Predict = Callable[[Tensors, Parameters], Tensors]
Outcome = Tensors | ServingError


@dataclass(frozen=True)
class Limits:
    """What bounds a model's queue."""

    max_rows: int = 256  #: rows in one merged call
    max_queue: int = 1024  #: requests that may wait
    timeout: float = 60.0  #: seconds that a request may wait
    lanes: int = 1  #: calls at the same time, at most: `Lanes` learns how many pay


@dataclass(slots=True, eq=False)
class _Job:
    call: Call
    key: Any
    future: asyncio.Future[Tensors]
    start: float
    deadline: float
    gone: Callable[[], bool]


@dataclass(eq=False)
class Batcher:
    """The queue of one model."""

    predict: Predict
    executor: Runs
    limits: Limits = field(default_factory=Limits)
    merges: bool = True  #: rows are independent: requests may share a call
    batched: bool = True  #: the first dimension of every tensor is the batch
    name: str = "model"
    on_failure: Callable[[BaseException], None] = lambda _: None
    on_call: Callable[[int, list[float]], None] = lambda rows, waits: None  #: rows of a call, seconds that each waited
    lanes: Lanes = field(init=False)
    _pending: deque[_Job] = field(default_factory=deque)
    _running: int = 0
    _sweep: asyncio.TimerHandle | None = None
    _closed: ServingError | None = None
    _when_idle: Callable[[], None] | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def __post_init__(self) -> None:
        self.lanes = Lanes(self.limits.lanes)

    async def submit(self, call: Call, gone: Callable[[], bool] = bool) -> Tensors:
        """The model's outputs for one request; `gone` tells, when its turn comes, whether the caller has hung up.

        Raises:
            QueueFull, DeadlineExceeded, ModelFailed, InvalidInput (the model's own refusal).
        """
        if self._closed:
            raise self._closed
        if len(self._pending) >= self.limits.max_queue and not self._drop_gone():
            raise QueueFull(f"{self.name} has {len(self._pending)} requests waiting (limit max_queue): try again later")
        loop = self._loop = asyncio.get_running_loop()
        start = loop.time()
        job = _Job(call, self._key(call), loop.create_future(), start, start + self.limits.timeout, gone)
        self._pending.append(job)
        self._start(loop)
        if self._pending and self._sweep is None:
            self._sweep = loop.call_at(self._pending[0].deadline, self._expire, loop)
        try:
            return await job.future
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):  # it runs already
                self._pending.remove(job)
            raise

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._pending)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self._pending and not self._running

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
            _resolve(self._pending.popleft(), error)
        if self._sweep is not None:
            self._sweep.cancel()  # a timer would keep the model in memory
        self._told_idle()

    def _told_idle(self) -> None:
        if self._when_idle is not None and not self._running:
            when_idle, self._when_idle = self._when_idle, None
            when_idle()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._running < self.lanes.now and self._pending and (batch := self._take(now := loop.time())):
            self._running += 1
            self.on_call(sum(job.call.rows for job in batch), [now - job.start for job in batch])
            try:
                self.executor.submit(self._work, loop, batch)
            except RuntimeError:  # the executor is shut down
                self._running -= 1
                for job in batch:
                    _resolve(job, NotReady("the server is stopping"))

    def _take(self, now: float) -> list[_Job]:
        """The oldest request and those that may share its call, in order; the others keep their places."""
        batch: list[_Job] = []
        rows, others = 0, []
        while self._pending:
            job = self._pending.popleft()
            if job.future.done():
                continue
            if job.deadline <= now:
                _resolve(job, self._late())
            elif job.gone():
                _resolve(job, _hung_up())
            elif not batch:
                batch.append(job)
                rows = job.call.rows
                if not self.merges:
                    break
            elif job.key == batch[0].key and rows + job.call.rows <= self.limits.max_rows:
                batch.append(job)
                rows += job.call.rows
            else:
                others.append(job)
            if rows >= self.limits.max_rows:
                break
        self._pending.extendleft(reversed(others))
        return batch

    def _work(self, loop: asyncio.AbstractEventLoop, batch: list[_Job]) -> None:
        start = monotonic()
        try:
            outcomes = self._run([job.call for job in batch])
        except BaseException as error:  # ours, but the callers still wait and the lane is still taken
            outcomes = [as_serving_error(error)] * len(batch)
        try:
            loop.call_soon_threadsafe(self._finish, loop, batch, outcomes, monotonic() - start)
        except RuntimeError:
            return  # the loop is closed: nobody is left to tell

    def _finish(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Job], outcomes: Sequence[Outcome], seconds: float
    ) -> None:
        self._running -= 1
        self.lanes.finished(sum(job.call.rows for job in batch), seconds, monotonic(), bool(self._pending))
        for job, outcome in zip(batch, outcomes, strict=True):
            _resolve(job, outcome)
        self._start(loop)
        self._told_idle()

    def _run(self, calls: list[Call]) -> list[Outcome]:
        """In a worker thread: one call for all; one each when that fails."""
        if len(calls) == 1:
            return [self._run_one(calls[0])]
        rows = [call.rows for call in calls]
        try:
            merged = {name: np.concatenate([call.inputs[name] for call in calls]) for name in calls[0].inputs}
            outputs = self.predict(merged, calls[0].parameters)
            _check_rows(outputs, sum(rows))
            return list(_split(outputs, rows))
        except BaseException:  # whose fault it is shows when each runs alone
            return [self._run_one(call) for call in calls]

    def _run_one(self, call: Call) -> Outcome:
        try:
            outputs = self.predict(call.inputs, call.parameters)
            if self.batched:
                _check_rows(outputs, call.rows)
        except BaseException as error:  # SystemExit too: a caller must never be left without an answer
            known = as_serving_error(error)
            if isinstance(known, ModelFailed):
                self.on_failure(error)
            return known
        return outputs

    def _key(self, call: Call) -> Any:
        """What requests that share a call agree in. `None` never merges with anything but is never asked for."""
        if not self.merges:
            return None
        shapes = tuple((name, array.dtype, array.shape[1:]) for name, array in call.inputs.items())
        return shapes, orjson.dumps(call.parameters, option=orjson.OPT_SORT_KEYS) if call.parameters else b""

    def _drop_gone(self) -> bool:
        """Let go of those whose clients hung up while they waited; whether there were any."""
        waiting = len(self._pending)
        for job in [job for job in self._pending if job.gone()]:
            self._pending.remove(job)
            _resolve(job, _hung_up())
        return len(self._pending) < waiting

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer those that waited too long; the queue is in the order of deadlines."""
        self._sweep = None
        now = loop.time()
        while self._pending and (self._pending[0].future.done() or self._pending[0].deadline <= now):
            _resolve(self._pending.popleft(), self._late())
        if self._pending:
            self._sweep = loop.call_at(self._pending[0].deadline, self._expire, loop)

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"the request waited {self.limits.timeout:g} s for {self.name} (limit request_timeout)")


def _hung_up() -> ClientGone:
    return ClientGone("the client hung up")


def _resolve(job: _Job, outcome: Outcome) -> None:
    if job.future.done():  # cancelled, or timed out while it ran
        return
    if isinstance(outcome, ServingError):
        job.future.set_exception(outcome)
    else:
        job.future.set_result(outcome)


def _check_rows(outputs: Tensors, rows: int) -> None:
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != rows:
            held = "no rows" if array.ndim == 0 else f"{len(array)} rows"
            raise ModelFailed(f"the model answered {held} in {name!r} for {rows} rows of input")


def _split(outputs: Tensors, rows: list[int]) -> Sequence[Tensors]:
    ends = np.cumsum(rows)[:-1]
    parts = {name: np.split(array, ends) for name, array in outputs.items()}
    return [{name: part[i] for name, part in parts.items()} for i in range(len(rows))]
