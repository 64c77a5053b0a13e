"""What the engines of a language model hold, asked of its workers while it has requests; and whether they go on.

An engine computes in a thread of its worker. One that hangs there, or has ended, cannot be mended from within the
process: its worker is ended, those who wait are told why, and another one is started, as after any death.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from adapters.base import Reply, Request
from server.telemetry.token_counts import TokenCounts
from server.workers.worker import Worker, WorkerDied
from server.workers.worker_pool import WorkerPool

log = logging.getLogger("kserve")

_TICK = 1.0  #: seconds between two looks
#: seconds that one step may take; the longest, a part of a prompt on a slow machine, takes some
STEP_TIMEOUT = 60.0

_ASKED = Request("usage", "generation", b"", {})
#: what counts up in an engine's usage -> what it is called there
_COUNTED = {"preemptions": "preemptions", "prefix_queries": "prompt_tokens", "prefix_hits": "prefix_hits"}


class EngineWatch:
    """Looks after one model, on the event loop."""

    def __init__(
        self,
        name: str,
        pool: WorkerPool | None,
        counts: TokenCounts,
        is_busy: Callable[[], bool],
        tick: float = _TICK,
        step_timeout: float = STEP_TIMEOUT,
    ) -> None:
        self._name, self._pool, self._counts, self._is_busy = name, pool, counts, is_busy
        self._tick, self._step_timeout = tick, step_timeout
        self._seen: dict[Worker, Mapping[str, Any]] = {}
        self._task: asyncio.Task[None] | None = None
        self._over = False

    def begin(self) -> None:
        """A request has come."""
        if self._pool is not None and not self._over and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._look_on(self._pool))

    def end(self) -> None:
        """The model goes: it holds nothing any more. From any thread."""
        self._over = True
        self._hold({})

    async def _look_on(self, pool: WorkerPool) -> None:
        """While there are requests, and then until the engines hold none: who was given up goes with the next step."""
        busy = True
        while (busy or self._is_busy() or self._holds) and not self._over:  # one may have come during the last look
            await asyncio.sleep(self._tick)
            busy = self._is_busy()
            try:
                await self._look(pool)
            except Exception:  # whatever a worker sends: the next look may be a better one
                log.warning("model %s: what its engine holds could not be read", self._name, exc_info=True)

    @property
    def _holds(self) -> bool:
        return bool(self._counts.held["running"] or self._counts.held["waiting"])

    async def _look(self, pool: WorkerPool) -> None:
        found: dict[Worker, Mapping[str, Any]] = {}
        for worker, reply in (await pool.answer_each(_ASKED)).items():
            if isinstance(reply, Reply) and reply.status == 200:
                usage = orjson.loads(reply.body)
                if reason := self._stuck(usage):
                    log.error("model %s: %s: its worker is ended", self._name, reason)
                    worker.kill(WorkerDied(reason))
                else:
                    found[worker] = usage
        if not self._over:
            self._count(found)
            self._hold(found)

    def _stuck(self, usage: Mapping[str, Any]) -> str:
        if usage["failed"]:
            return str(usage["failed"])
        if usage["step_seconds"] > self._step_timeout:
            took = f"{usage['step_seconds']:.0f} s, and may be for {self._step_timeout:g} s"
            return f"its engine has been at one step for {took}"
        return ""

    def _count(self, found: Mapping[Worker, Mapping[str, Any]]) -> None:
        """Add what was counted since the last look; a new worker begins at nothing."""
        for worker, usage in found.items():
            before = self._seen.get(worker, {})
            for name, told in _COUNTED.items():
                self._counts.counted[name] += max(0, usage[told] - before.get(told, 0))
        self._seen = dict(found)

    def _hold(self, found: Mapping[Worker, Mapping[str, Any]]) -> None:
        usages = list(found.values())
        limit = sum(usage["cache_limit"] for usage in usages)
        self._counts.held.update(
            running=sum(usage["running"] for usage in usages),
            waiting=sum(usage["waiting"] for usage in usages),
            cache=sum(usage["running_bytes"] for usage in usages) / limit if limit else 0.0,
        )
