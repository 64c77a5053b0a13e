"""Threads in which models are loaded, so many at a time; one that takes long does not keep the others waiting.

A folder on a disk that hangs, or a model that takes all the time that there is for a trial, would hold its thread for
minutes, and two of them everybody. So whoever has taken longer than `PATIENCE` lends his place to the next, as long as
half of the memory is free: what is slow because it is large takes memory, and there the number of threads is what
bounds that.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

from server.runtime import memory

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: seconds; less would have a machine that is busy with its loads begin more of them
PATIENCE = 60.0
_LEAST = 0.01  #: seconds between two looks
#: places that are lent at once
MOST_LENT = 32


class PatientPool(Executor):
    """`threads` tasks at a time, in the order in which they come, and those that have taken long beside them."""

    def __init__(
        self,
        threads: int,
        name: str,
        patience: float = PATIENCE,
        may_lend: Callable[[], bool] = memory.is_half_free,
    ) -> None:
        """`patience` is in seconds; `may_lend` is asked before a place is lent."""
        self._threads = threads
        self._name = name
        self._patience = patience
        self._may_lend = may_lend
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._since: dict[threading.Thread, float] = {}  #: when those that run have begun
        self._changed = threading.Condition()
        self._looking = False  #: somebody looks for those that take long

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """As an executor has it."""
        future: Future[_T] = Future()
        with self._changed:
            self._waiting.append((future, partial(fn, *args, **kwargs)))
            self._begin()
            if self._waiting and not self._looking:
                self._looking = True
                threading.Thread(target=self._look, name=f"{self._name}-look", daemon=True).start()
        return future

    def _begin(self) -> None:
        """Begin with as many as there are places for."""
        while self._has_place():
            thread = threading.Thread(target=self._run, args=self._waiting.popleft(), name=self._name, daemon=True)
            self._since[thread] = time.monotonic()
            thread.start()

    def _has_place(self) -> bool:
        """Something waits that may begin now."""
        return bool(self._waiting) and len(self._since) < self._threads + self._lent()

    def _lent(self) -> int:
        before = time.monotonic() - self._patience
        slow = sum(since <= before for since in self._since.values())
        return min(slow, MOST_LENT) if slow and self._may_lend() else 0

    def _look(self) -> None:
        """While some wait, look now and then who takes long."""
        with self._changed:
            while self._waiting:
                self._changed.wait(max(self._patience / 4, _LEAST))
                self._begin()
            self._looking = False

    def _run(self, future: Future[Any], work: Callable[[], Any]) -> None:
        """Do it, and what waits then: a thread for each of a thousand models takes longer to start than to load one."""
        next_one: tuple[Future[Any], Callable[[], Any]] | None = (future, work)
        del future, work  # what is done is kept by nobody here
        while next_one is not None:
            try:
                if next_one[0].set_running_or_notify_cancel():
                    _do(*next_one)
            finally:
                next_one = self._done()

    def _done(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """This thread's task is; the next one, unless the place is another's by now."""
        with self._changed:
            thread, taken = threading.current_thread(), None
            del self._since[thread]
            if self._has_place():
                taken = self._waiting.popleft()
                self._since[thread] = time.monotonic()
            self._begin()
            if not self._waiting:  # which ends the look; a thousand tasks that wake it take as long as to load a few
                self._changed.notify_all()
            return taken


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
