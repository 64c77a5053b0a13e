"""Threads for predictions: a call starts at once on a thread of its own, without the bookkeeping of a future.

`concurrent.futures` makes and resolves a future for every call (10 µs, as much as a small model's arithmetic), and
joins its threads at exit, which a prediction that never ends would prevent.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

from server.inference.batching.tuning import TUNING
from server.runtime.cpu import give_way

log = logging.getLogger("kserve")

Work = tuple[Callable[..., object], tuple[object, ...]]


class Executor(Protocol):
    """What runs a call on another thread: these threads, or any `concurrent.futures.Executor`."""

    def submit(self, work: Callable[..., object], /, *arguments: object) -> object: ...


def spare(executor: Executor) -> int:
    """Cores that the threads leave idle; 1 where nobody knows."""
    return executor.spare if isinstance(executor, ThreadPool) else 1


class ThreadPool:
    """At most `most` threads: one more is started when all are busy; further calls wait for the first to be free."""

    def __init__(self, most: int, name: str, cores: int = 1) -> None:
        self._most = most
        self._cores = cores
        self._name = name
        self._queue: SimpleQueue[Work] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._free = 0  #: threads that wait, less the calls that wait for one

    def submit(self, work: Callable[..., object], /, *arguments: object) -> None:
        """Run `work(*arguments)` on a thread; what it raises is logged."""
        with self._lock:
            self._free -= 1
            if self._free < 0 and self._started < self._most:
                self._started += 1
                self._free += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()
        self._queue.put((work, arguments))

    @property
    def spare(self) -> int:
        """Cores that no thread of this pool keeps busy."""
        with self._lock:
            return max(0, self._cores - (self._started - self._free))

    def _run(self) -> None:
        give_way()
        while True:
            work, arguments = self._queue.get()
            try:
                work(*arguments)
            except BaseException:
                log.exception("a call on a thread failed")
            del work, arguments  # a thread that waits must not keep its last request alive
            with self._lock:
                self._free += 1


def predictors(cores: int) -> ThreadPool:
    """The threads that models run on."""
    return ThreadPool(TUNING.predict_threads, "predict", cores)
