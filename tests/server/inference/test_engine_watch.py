"""What engines hold becomes numbers; a worker whose engine hangs, or has ended, is ended with the reason."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import orjson
import pytest

from adapters.base import Reply, Request
from adapters.generation.adapter import USAGE
from server.errors import ServingError
from server.inference import engine_watch
from server.inference.engine_watch import EngineWatch
from server.telemetry.token_counts import TokenCounts
from server.workers.worker_pool import WorkerPool
from tests.patience import becomes


def usage(**changed: Any) -> dict[str, Any]:
    plain = dict.fromkeys(("running", "waiting", "prefix_hits", "prompt_tokens", "preemptions", "running_bytes"), 0)
    return {**plain, "cache_limit": 100, "step_seconds": 0.0, "failed": "", **changed}


class OneWorker:
    """A worker, as far as a watch knows it; asked, it answers `told`."""

    def __init__(self, **told: Any) -> None:
        self.told = usage(**told)
        self.verdict: ServingError | None = None

    def kill(self, verdict: ServingError) -> None:
        self.verdict = verdict


class Workers:
    def __init__(self, *workers: OneWorker) -> None:
        self.workers = list(workers)
        self.looks = 0
        self.idle_after = 1 << 30  #: looks, with which they hold nothing any more

    async def answer_each(self, request: Request) -> dict[OneWorker, Reply]:
        assert (request.verb, request.protocol) == (USAGE, "generation")
        self.looks += 1
        if self.looks >= self.idle_after:
            for worker in self.workers:
                worker.told.update(running=0, waiting=0, running_bytes=0)
        return {each: Reply(orjson.dumps(each.told), {}) for each in self.workers if each.verdict is None}


def watch_over(pool: Workers, counts: TokenCounts, looks: int = 1, **settings: Any) -> EngineWatch:
    """Busy until it has looked so often."""
    return EngineWatch(
        "m", cast(WorkerPool, pool), counts, lambda: pool.looks < looks, tick=0.001, step_timeout=5.0, **settings
    )


async def looked(watch: EngineWatch) -> None:
    """Until it has nothing more to look at."""
    watch.begin()
    await becomes(lambda: watch._task is not None and watch._task.done())


def test_what_all_workers_hold_together_until_they_hold_nothing() -> None:
    async def run() -> None:
        counts = TokenCounts()
        pool = Workers(OneWorker(running=2, waiting=1, running_bytes=60), OneWorker(running=1, running_bytes=20))
        watch = watch_over(pool, counts)
        watch.begin()
        await becomes(lambda: counts.held == {"running": 3, "waiting": 1, "cache": 0.4})
        await becomes(lambda: pool.looks > 3)
        pool.idle_after = pool.looks + 2
        await looked(watch)
        assert counts.held == {"running": 0, "waiting": 0, "cache": 0}
        assert pool.looks == pool.idle_after

    asyncio.run(run())


def test_a_request_that_comes_during_the_last_look_is_seen() -> None:
    async def run() -> None:
        pool, busy = Workers(OneWorker()), [False]

        async def answer_each(request: Request) -> dict[OneWorker, Reply]:
            found = await Workers.answer_each(pool, request)
            busy[0] = pool.looks == 1  # it comes when the worker has answered; the next look is its last
            watch.begin()
            return found

        pool.answer_each = answer_each  # type: ignore[method-assign]
        watch = EngineWatch("m", cast(WorkerPool, pool), TokenCounts(), lambda: busy[0], tick=0.001)
        await looked(watch)
        assert pool.looks == 3, "the first one, one while it was there, one after it"

    asyncio.run(run())


def test_what_counts_up_is_counted_once_and_over_restarts() -> None:
    async def run() -> None:
        counts, worker = TokenCounts(), OneWorker(prompt_tokens=10, prefix_hits=4, preemptions=1)
        pool = Workers(worker)
        watch = watch_over(pool, counts)
        await looked(watch)
        assert counts.counted == {"preemptions": 1, "prefix_queries": 10, "prefix_hits": 4}
        worker.told.update(prompt_tokens=15)
        await looked(watch)
        pool.workers = [OneWorker(prompt_tokens=3)]
        await looked(watch)
        assert counts.counted == {"preemptions": 1, "prefix_queries": 18, "prefix_hits": 4}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"step_seconds": 5.4}, "its engine has been at one step for 5 s, and may be for 5 s"),
        ({"failed": "the engine's thread has ended: SystemExit"}, "the engine's thread has ended: SystemExit"),
    ],
)
def test_a_worker_whose_engine_hangs_is_ended(told: dict[str, Any], reason: str) -> None:
    bad, good, counts = OneWorker(running=5, **told), OneWorker(step_seconds=4.9, prompt_tokens=1), TokenCounts()
    asyncio.run(looked(watch_over(Workers(bad, good), counts)))
    assert str(bad.verdict) == reason
    assert bad.verdict is not None
    assert bad.verdict.status == 503
    assert good.verdict is None
    assert counts.held["running"] == 0
    assert counts.counted["prefix_queries"] == 1


def test_a_model_that_goes_holds_nothing() -> None:
    async def run() -> None:
        counts = TokenCounts()
        watch = watch_over(Workers(OneWorker(running=2, running_bytes=50)), counts)
        watch.begin()
        await becomes(lambda: counts.held["running"] == 2)
        watch.end()
        await becomes(lambda: watch._task is not None and watch._task.done())
        assert counts.held == {"running": 0, "waiting": 0, "cache": 0}
        watch.begin()
        assert watch._task is not None
        assert watch._task.done()

    asyncio.run(run())


def test_a_look_that_fails_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    counts, worker = TokenCounts(), OneWorker()
    worker.told = {}
    asyncio.run(looked(watch_over(Workers(worker), counts, looks=3)))
    assert "could not be read" in caplog.text


def test_without_workers_there_is_nothing_to_watch() -> None:
    watch = EngineWatch("m", None, TokenCounts(), lambda: True)
    watch.begin()
    assert watch._task is None
    assert engine_watch.STEP_TIMEOUT > 10
