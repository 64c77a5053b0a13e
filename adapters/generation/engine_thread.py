"""What every engine of ours has: a thread of its own, a queue before it, and streams that it fills."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import torch

from adapters.generation.engine import EngineClosed, EngineFull, EngineUsage, Generation, TokenEvent, TokenStream
from adapters.generation.giving_way import NICE, give_way
from adapters.generation.token_stream import Outbox, QueuedTokenStream

logger = logging.getLogger(__name__)

#: one slot in so many, but one at least, is for requests that have none yet
_SHARE = 8


@dataclass(eq=False, slots=True)
class Submission:
    """One generation from its submission to its end. The engine's thread alone has it, but for `cancelled`."""

    generation: Generation
    number: int  #: in the order they came
    reserved: int  #: bytes of cache that are its own now
    stream: QueuedTokenStream = field(init=False)
    cancelled: bool = False
    progress: Any = None  #: the engine's own, of one that has been put back

    @property
    def request(self) -> Hashable:
        """What it has in common with the other sequences of its request."""
        own = self.generation.request
        return (self.number,) if own is None else own


class EngineThread(ABC):
    """Admits generations as far as `slots` and `cache_limit` (bytes) allow, and runs them.

    They come in the order of requests, and each request's in turn with those of others: a thousand sequences of one
    leave an eighth of the slots to others. At most `max_waiting` more may wait, and beside the many of some requests
    the first one each of as many others.

    Who is admitted holds what it takes at first, and asks for more as it grows;
    where there is none left, the youngest is put back, before all who wait, and the oldest always goes on.
    """

    def __init__(self, *, slots: int, cache_limit: int, max_waiting: int, nice: int = NICE, threads: int = 0) -> None:
        """`nice`: how far its thread gives way (`giving_way`). `threads`: PyTorch's for a step; 0: as they are.

        No other thread of the process may have some beside it: where OpenMP has more than there are cores, they sleep
        between any two operations, and a step of one sequence takes half as long again (`libgomp`, GOMP_SPINCOUNT).
        """
        self.slots, self.cache_limit, self.max_waiting = slots, cache_limit, max_waiting
        self._nice, self._threads = nice, threads
        self._changed = threading.Condition()
        self._waiting: deque[Submission] = deque()  # these, and all that is counted, under the condition
        self._admitted: list[Submission] = []
        self._running = 0
        self._running_of: Counter[Hashable] = Counter()  #: by request
        self._reserved = 0
        self._closed = False
        self._failed = ""
        self._step_began: float | None = None  #: monotonic
        self._outbox = Outbox()
        self._numbers = itertools.count()
        self._prefix_hits = self._prompt_tokens = self._generated_tokens = self._preemptions = 0
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def submit(self, generation: Generation) -> TokenStream:
        need = self._need(generation)
        if need > self.cache_limit:
            raise ValueError(
                f"the cache of {len(generation.prompt)} + {generation.max_tokens} tokens takes {need} bytes, "
                f"and all caches together may take {self.cache_limit}"
            )
        request = Submission(generation, next(self._numbers), self._need_at_first(generation))
        request.stream = QueuedTokenStream(lambda: self._cancel(request))
        with self._changed:
            if self._closed:
                raise EngineClosed(self._failed or "the engine has been closed")
            self._waiting.append(request)
            self._admit()
            if request in self._waiting and self._is_crowded(request):
                self._waiting.remove(request)
                raise EngineFull(
                    f"{self.max_waiting} generations wait already (max_queue), "
                    f"and the {self._running} that run hold {self._reserved} of {self.cache_limit} bytes of cache"
                )
        return request.stream

    def usage(self) -> EngineUsage:
        with self._changed:
            return EngineUsage(
                running=self._running,
                waiting=len(self._waiting),
                cache_bytes=self._cache_bytes(),
                cache_limit=self.cache_limit,
                prefix_hits=self._prefix_hits,
                prompt_tokens=self._prompt_tokens,
                generated_tokens=self._generated_tokens,
                running_bytes=self._reserved,
                preemptions=self._preemptions,
                step_seconds=0.0 if (began := self._step_began) is None else time.monotonic() - began,
                failed=self._failed,
            )

    def close(self) -> None:
        """Returns once the thread has ended, which takes no longer than a step. A second time does nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    @abstractmethod
    def _need(self, generation: Generation) -> int:
        """Bytes of cache at the most."""

    def _need_at_first(self, generation: Generation) -> int:
        """Bytes of cache that it holds from the beginning; no more than `_need`."""
        return self._need(generation)

    @abstractmethod
    def _cache_bytes(self) -> int: ...

    @abstractmethod
    def _start(self, request: Submission) -> None:
        """It has been admitted."""

    @abstractmethod
    def _step(self) -> bool:
        """Go on with what runs, and drop who was cancelled; whether anything is left to do."""

    @abstractmethod
    def _abandon(self) -> list[Submission]:
        """Stop all at once; who was running."""

    def _admit(self) -> None:
        """Under the condition. Whose turn it is waits for its room, and all others for it: none is passed over."""
        while self._running < self.slots and not self._closed:
            request = min(filter(self._may_run, self._waiting), key=self._turn, default=None)
            if request is None or self._reserved + request.reserved > self.cache_limit:
                break
            self._waiting.remove(request)
            self._running += 1
            self._running_of[request.request] += 1
            self._reserved += request.reserved
            self._admitted.append(request)
            self._changed.notify()

    def _may_run(self, request: Submission) -> bool:
        """The last slots are for the first sequence of each request."""
        kept = max(1, self.slots // _SHARE) if self.slots > 1 else 0
        others_run = request.request in self._running_of
        return not others_run or request.progress is not None or self.slots - self._running > kept

    def _turn(self, request: Submission) -> tuple[bool, int]:
        """Less is sooner: those that were put back, then those whose request has the fewest that run."""
        return request.progress is None, self._running_of[request.request]

    def _is_crowded(self, request: Submission) -> bool:
        """Whether too many wait already, by its request's own doing or by others'."""
        others = {each.request for each in self._waiting if each is not request}
        if request.request in others or self._running_of[request.request]:
            return len(self._waiting) > self.max_waiting
        return len(others) >= self.max_waiting

    def _leave(self, request: Submission) -> None:
        """Under the condition: it runs no more."""
        self._running -= 1
        self._running_of[request.request] -= 1
        if not self._running_of[request.request]:
            del self._running_of[request.request]
        self._reserved -= request.reserved

    def _cancel(self, request: Submission) -> None:
        with self._changed:
            request.cancelled = True
            if request in self._waiting:
                self._waiting.remove(request)
                self._admit()
            self._changed.notify()

    def _enlarge(self, request: Submission, reserved: int) -> bool:
        """Let it hold so many bytes, if there are."""
        with self._changed:
            if self._reserved - request.reserved + reserved > self.cache_limit:
                return False
            self._reserved += reserved - request.reserved
            request.reserved = reserved
            return True

    def _put_back(self, request: Submission, reserved: int) -> None:
        """It is to be started once more, before all who wait, when there are so many bytes for it."""
        with self._changed:
            self._leave(request)
            request.reserved = reserved
            self._waiting.appendleft(request)
            self._preemptions += 1

    def _tell(self, request: Submission, event: TokenEvent) -> None:
        self._outbox.put(request.stream, event)
        if not event.in_prompt:
            self._generated_tokens += 1

    def _end(self, request: Submission, error: Exception | None = None) -> None:
        """Its last word, unless it was cancelled; its room is for others."""
        self._outbox.put(request.stream, error)
        with self._changed:
            self._leave(request)
            self._admit()

    def _run(self) -> None:
        give_way(self._nice)
        try:
            if self._threads:
                torch.set_num_threads(self._threads)
            self._run_steps()
        except BaseException as error:  # nobody may wait for ever for a thread that has ended
            logger.exception("the engine's thread has ended")
            with self._changed:
                self._closed = True
                self._failed = f"the engine's thread has ended: {type(error).__name__}: {error}"
        self._step_began = None
        self._fail_all()

    def _run_steps(self) -> None:
        """Until it is closed."""
        busy = False
        while True:
            self._step_began = None
            with self._changed:
                while not (busy or self._admitted or self._closed):
                    self._changed.wait()
                admitted, self._admitted = self._admitted, []
                closed = self._closed
            self._beat()
            for request in admitted:
                self._guarded_start(request)
            if closed:
                return
            try:
                busy = self._step()
            except Exception as error:  # code of others' may fail in any way, and nobody may wait for ever
                busy = False
                for request in self._abandon():
                    self._end(request, error)
            self._outbox.send()

    def _beat(self) -> None:
        """A step begins, or has come further: whoever looks sees that it goes on."""
        self._step_began = time.monotonic()

    def _guarded_start(self, request: Submission) -> None:
        try:
            self._start(request)
        except Exception as error:
            self._end(request, error)

    def _fail_all(self) -> None:
        gone = EngineClosed(self._failed or "the engine has been closed")
        for request in self._abandon():
            self._end(request, gone)
        with self._changed:
            left = [*self._admitted, *self._waiting]
            self._waiting.clear()
            self._admitted.clear()
        for request in left:
            self._outbox.put(request.stream, gone)
        self._outbox.send()
