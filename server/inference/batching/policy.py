"""When a model is called next, with which of the requests that wait, and where that call runs.

    next(queue, now) -> Call | None        the Batcher runs it        finished(call, waiting)

    short, and proved so (InlinePolicy)       on the event loop: handing it over would take longer
    in a worker process, and small            begun by the event loop, which hears of its end: no thread need wait
    1,000 rows and more, others idle          in parts, one an idle core
    everything else                           in a thread, as many at a time as pay (adaptive.ConcurrencyLimit)

A model alone may keep the loop for as long as it likes: all of a turn's bodies are decoded, all answers of a call are
written at once, and that is the fastest. While several are asked (`Traffic`), none may keep it for long. And while one
of them is asked only a little, so that its callers wait for nothing but the others, the others' turns are as short as
they can be (fairness.py), and their threads leave one core; models that are all flooded would only get slower by that.

What a short request passes is in this file; what is learned from longer calls is in adaptive.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from server.inference.batching.adaptive import CallCost, Coalescing, ConcurrencyLimit
from server.inference.batching.executor import Call, Place
from server.inference.batching.fairness import DecodeTurns
from server.inference.batching.merging import rows_of, take
from server.inference.batching.queue import BoundedQueue, Limits, QueuedRequest
from server.inference.batching.tuning import TUNING, Tuning


class InlinePolicy:
    """Which calls of a model are short enough to run on the event loop itself.

    While a thread and the event loop both want the interpreter, each waits for the other. So calls begin in threads;
    those of a steady model (how long a call takes depends on the shapes of its inputs alone) move to the event loop
    once calls of their size have proved short, and back as soon as one is not. What counts is the processor time:
    waiting for a core is not the call's fault.
    """

    def __init__(self, steady: bool = False, tuning: Tuning = TUNING) -> None:
        self._steady = steady
        self._tuning = tuning
        self._proved = 0  #: bits of the largest number of rows that is proved
        self._streaks = [0] * tuning.inline_sizes  #: short calls in a row, by the bits of their number of rows

    def allows(self, rows: int) -> bool:
        """Whether a call of so many rows may run on the event loop."""
        return rows.bit_length() <= self._proved

    def observe(self, rows: int, cpu: float) -> None:
        """A call of so many rows took so many seconds of processor time."""
        if not self._steady:
            return
        streaks, proof = self._streaks, self._tuning.inline_proof_calls
        size = min(rows.bit_length(), len(streaks) - 1)
        if cpu <= self._tuning.inline_seconds:
            streaks[size] += 1
            if streaks[size] == proof:
                self._proved = max(self._proved, size)
        else:
            streaks[size:] = [0] * (len(streaks) - size)
            self._proved = max([bits for bits in range(size) if streaks[bits] >= proof], default=0)


class Traffic:
    """Which models are asked at the same time. They are known by identity: one that is unloaded must not be kept."""

    def __init__(self, tuning: Tuning = TUNING) -> None:
        self.decode_turns = DecodeTurns(tuning)
        self._lately = tuning.alone_seconds
        self._latest = 0  #: the model that was asked last
        self._changed = -self._lately  #: when that was another one than before
        self._little = 0  #: the model that was asked a little last
        self._little_at = -self._lately
        self._little_before = -self._lately  #: when another one than that was

    def asked(self, model: int, now: float) -> None:
        """A request for this model has come."""
        if model != self._latest:
            self._latest, self._changed = model, now

    def asked_little(self, model: int, now: float) -> None:
        """A request for this model has come, and as before hardly any of its others waited."""
        if model != self._little:
            self._little, self._little_before = model, self._little_at
        self._little_at = now

    def shared(self, now: float) -> bool:
        """Several models are asked."""
        return now - self._changed < self._lately

    def beside_little(self, model: int, now: float) -> bool:
        """Another model is asked, and only a little: a core is left to it, to its callers and to the event loop."""
        return now - (self._little_before if model == self._little else self._little_at) < self._lately


#: of the server's event loop
TRAFFIC = Traffic()


class ExecutionPolicy:
    """Of one model. It lives on the event loop."""

    def __init__(
        self,
        limits: Limits,
        *,
        merges: bool = True,
        steady: bool = False,
        remote: bool = False,
        cores: Callable[[], int] = lambda: 1,
        spare_cores: Callable[[], int] = lambda: 1,
        traffic: Traffic = TRAFFIC,
        tuning: Tuning = TUNING,
    ) -> None:
        """`cores`: threads that a large call may be dealt out to; `spare_cores`: those that no thread keeps busy."""
        concurrency = limits.concurrency if limits.fixed_concurrency else 1
        self.inline = InlinePolicy(steady, tuning)
        self.concurrency = ConcurrencyLimit(limits.concurrency, concurrency, tuning)
        self.cost = CallCost(tuning=tuning)  #: of calls that do not run on the event loop
        self.coalescing = Coalescing(limits.max_rows, self.cost)
        self.running = 0  #: calls
        self._max_rows = limits.max_rows
        self._merges = merges
        self._remote = remote
        self._cores = cores
        self._spare_cores = spare_cores
        self._traffic = traffic
        self._tuning = tuning
        self._little = 0  #: requests in a row of which each found few others waiting
        self._single = False  #: the latest call had one request, and none began in this turn of the loop

    # requests come

    def decodes_at_once(self, now: float) -> bool:
        """Whether a body that comes now is read now, not by `decode_later`."""
        return not self._traffic.beside_little(id(self), now)

    def decode_later(self, loop: asyncio.AbstractEventLoop, size: int, decode: Callable[[], None]) -> None:
        """Call `decode`, which reads a body of `size` bytes, when this model's turn comes."""
        self._traffic.decode_turns.soon(loop, id(self), size, decode)

    def arrived(self, waiting: int, now: float) -> None:
        """A request has come, and found so many others waiting."""
        model, traffic = id(self), self._traffic
        traffic.asked(model, now)
        if waiting + len(traffic.decode_turns.waiting.get(model, ())) > self._tuning.little_waiting:
            self._little = 0
        elif self._little < self._tuning.little_streak:
            self._little += 1
        else:
            traffic.asked_little(model, now)

    def begins_at_once(self, waiting: int, now: float) -> bool:
        """Whether the request that came just now is called in this turn of the loop, which may be a long one.

        So it is while other models are asked, where this one's requests come singly: there are none to share a call.
        """
        return self._single and waiting == 1 and not self.running and self._traffic.shared(now)

    def began_at_once(self) -> None:
        """What else comes in this turn of the loop is gathered."""
        self._single = False

    def turn_ended(self, queue: BoundedQueue[QueuedRequest]) -> None:
        """That turn is over."""
        self._single = not queue

    # calls begin

    @property
    def coalesces(self) -> bool:
        """Calls are worth being few: each costs much, whatever it holds."""
        return self._merges and self.cost.fixed >= self._tuning.coalesce_seconds

    def waits_for_more(self, waiting: int, now: float) -> bool:
        """Whether to see first what the next turn of the loop brings."""
        return self.coalesces and self.coalescing.waits(waiting, now)

    def may_begin(self, queue: BoundedQueue[QueuedRequest]) -> bool:
        """Something waits, one call more may run, and it is worth it."""
        if not queue or self._free <= 0:
            return False
        if not self.running or not self.coalesces:
            return True
        enough = self.coalescing.enough
        return len(queue) >= enough or rows_of(queue) >= enough

    def next(self, queue: BoundedQueue[QueuedRequest], now: float) -> Call | None:
        """The next call, which counts as running until it is `finished`; its requests are taken out of the queue."""
        if not self.may_begin(queue):
            return None
        requests = take(queue, now, self._merges, self._call_rows(queue))
        if not requests:  # nobody's outcome is wanted any more
            return None
        self._single = len(requests) == 1
        self.running += 1
        decoded = [request.decoded for request in requests]
        call = Call(requests, decoded, sum([each.rows for each in decoded]))
        self._place(call)
        return call

    def begins_before_answers(self, waiting: int) -> bool:
        """Whether what waits when a call has ended need not wait until its answers are written.

        Else those who are answered come back in time for the next call. A worker process computes while this process
        writes: with enough rows it need not wait either.
        """
        if not waiting or not self.coalesces:
            return bool(waiting)
        return waiting >= (self.coalescing.enough if self._remote else self._max_rows)

    @property
    def _free(self) -> int:
        """Calls that may begin now; 0 and less: none."""
        most = self.concurrency.now
        free = most - self.running
        if most > 1 and self._leaves_a_core():
            least = 0 if self.running else 1  # a model that is at nothing may always begin
            return min(free, max(least, self._spare_cores() - 1))
        return free

    def _call_rows(self, queue: BoundedQueue[QueuedRequest]) -> int:
        """Rows of the next call, at most."""
        if not self.coalesces or (free := self._free) < 2:
            return self._max_rows
        return self.coalescing.share(rows_of(queue), free)

    def _place(self, call: Call) -> None:
        alone = self.running == 1
        if alone and self.inline.allows(call.rows):
            call.place = Place.INLINE
        elif self._remote and _bytes(call) <= self._tuning.remote_bytes:
            call.place = Place.REMOTE
        elif alone and self._merges and call.rows >= self._tuning.split_rows and len(call.requests) == 1:
            leaves = self._leaves_a_core()
            call.parts = min(self._cores(), self._spare_cores() - 1) if leaves else self._cores()
            call.place = Place.SPLIT if call.parts > 1 else Place.THREAD

    def _leaves_a_core(self) -> bool:
        return not self._remote and self._traffic.beside_little(id(self), monotonic())

    # calls end

    def finished(self, call: Call, waiting: int) -> None:
        """A call is over, and so many requests wait."""
        self.running -= 1
        if call.seconds is None:  # the server is stopping
            return
        if call.place is Place.INLINE:
            self.cost.fixed = 0.0  # whatever it was while the model was cold
        else:
            # a core that may not be used says nothing about what it is worth
            saturated = waiting > 0 and not self._leaves_a_core()
            self.concurrency.observe(call.rows, call.seconds, monotonic(), saturated)
            self.cost.observe(call.rows, min(call.seconds, call.cpu))
        self.inline.observe(call.rows, call.cpu)

    def answers_a_turn(self, now: float) -> int:
        """Answers that may be written in one turn of the loop; 0: all."""
        if not self._traffic.shared(now):
            return 0
        beside_little = self._traffic.beside_little(id(self), now)
        return self._tuning.answers_a_turn_beside_little if beside_little else self._tuning.answers_a_turn


def _bytes(call: Call) -> int:
    return sum([array.nbytes for decoded in call.decoded for array in decoded.inputs.values()])
