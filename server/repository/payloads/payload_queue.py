"""What waits to be logged: bounded in number and in bytes, sent by a thread of its own. What does not fit is dropped,
and counted; no request ever waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from server.repository.payloads.payload import Payload
from server.telemetry.counters import ModelMetrics

log = logging.getLogger("kserve")

MOST, MOST_BYTES = 10_000, 64 * 2**20
#: at most so many are sent at once, and so long they wait for more
BATCH, LINGER = 500, 0.2
_FLUSH, _LOOK = 5.0, 0.1  #: seconds that the last may take, and between two looks whether they are sent
_QUIET = 30.0  #: seconds between two lines about a sink that takes nothing


class PayloadQueue:
    """The queue of one process. `put` is called on one thread."""

    def __init__(self, send: Callable[[Sequence[Payload]], None], metrics: Callable[[str, str], ModelMetrics]) -> None:
        """`send` blocks, and raises an `OSError` where it fails, whose `lost` says of what, if not of all; `metrics` by
        model and version."""
        self._send = send
        self._metrics = metrics
        self._waiting: deque[Payload] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._told = -_QUIET
        self._thread = threading.Thread(target=self._run, name="payloads", daemon=True)
        self._thread.start()

    def put(self, payload: Payload) -> None:
        """Have it logged, unless too much waits."""
        with self._changed:
            if len(self._waiting) < MOST and self._bytes + payload.size <= MOST_BYTES and not self._closed:
                self._waiting.append(payload)
                self._bytes += payload.size
                if len(self._waiting) == 1:
                    self._changed.notify()
                return
        self.drop(payload.model, payload.version)

    def drop(self, model: str, version: str) -> None:
        """Count one that is not logged, as there is no room for it."""
        self._metrics(model, version).payloads_dropped += 1

    def close(self) -> None:
        """Send what waits, within some seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        for _ in range(round(_FLUSH / _LOOK)):  # counted: while all of the process stands still nothing is sent either
            if not self._thread.is_alive():
                return
            self._thread.join(_LOOK)

    def _run(self) -> None:
        while (batch := self._take()) is not None:
            lost: set[int] = set()
            try:
                self._send(batch)
            except Exception as error:
                lost = {id(each) for each in (getattr(error, "lost", None) or batch)}
                self._tell(error)
            for payload in batch:
                metrics = self._metrics(payload.model, payload.version)
                if id(payload) in lost:
                    metrics.payloads_failed += 1
                else:
                    metrics.payloads_sent += 1

    def _take(self) -> list[Payload] | None:
        """The next ones; None: it is closed, and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._closed:
                self._changed.wait_for(lambda: len(self._waiting) >= BATCH or self._closed, LINGER)
            if not self._waiting:
                return None
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._bytes -= sum(payload.size for payload in batch)
        return batch

    def _tell(self, error: Exception) -> None:
        if (now := time.monotonic()) >= self._told + _QUIET:
            self._told = now
            log.warning("--payload_log: what was to be logged is lost (polyserve_payloads_total counts it): %s", error)
