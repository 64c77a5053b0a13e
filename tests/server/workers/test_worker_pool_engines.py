"""Workers whose engines are watched: each is asked, and one whose engine hangs is ended and started again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from adapters.base import Reply, Request
from server.inference.engine_watch import EngineWatch
from server.telemetry.token_counts import TokenCounts
from server.workers.worker import WorkerDied
from tests.patience import becomes
from tests.server.workers.conftest import Make

USAGE = {
    "running": 1, "waiting": 0, "cache_limit": 10, "running_bytes": 5, "prefix_hits": 1, "prompt_tokens": 2,
    "preemptions": 0, "step_seconds": 0.0, "failed": "",
}  # fmt: skip


@pytest.mark.slow
def test_each_worker_is_asked(make: Make) -> None:
    pool = make("whole", count=2)
    pool.start()

    async def run() -> None:
        found = await pool.answer_each(Request("predict", "v1", b"count", {}))
        assert len(found) == 2
        assert [reply.body for reply in found.values() if isinstance(reply, Reply)] == [b"0 0", b"0 0"]

    asyncio.run(run())
    pool.close()


def test_one_whose_engine_hangs_is_ended_and_started_again(make: Make, tmp_path: Path) -> None:
    pool = make("whole")
    pool.start()
    usage = tmp_path / "whole" / "usage.json"
    usage.write_text(json.dumps(USAGE))
    counts = TokenCounts()
    watch = EngineWatch("odd-one", pool, counts, lambda: True, tick=0.01, step_timeout=30)

    async def run() -> None:
        stuck = asyncio.ensure_future(pool.answer(Request("predict", "v1", b"wait 1000", {})))
        watch.begin()
        await becomes(lambda: counts.held["running"] == 1)
        usage.write_text(json.dumps(USAGE | {"step_seconds": 31.0}))
        with pytest.raises(WorkerDied, match="its engine has been at one step for 31 s, and may be for 30 s"):
            await stuck
        usage.write_text(json.dumps(USAGE))
        await becomes(lambda: pool.restarts > 0 and not pool.down)
        answer = await pool.answer(Request("predict", "v1", b"again", {}))
        assert isinstance(answer, Reply)
        assert answer.body == b"AGAIN"
        watch.end()
        await becomes(lambda: watch._task is not None and watch._task.done())
        assert counts.held["running"] == 0

    asyncio.run(run())
    pool.close()
