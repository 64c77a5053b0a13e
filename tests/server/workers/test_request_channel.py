"""Whole requests: many at a time in one worker, on one event loop."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from adapters.base import InvalidInput, Reply, Request
from server.errors import DeadlineExceeded, ModelFailed, NotReady
from server.workers.channels import ModelTrace
from server.workers.launch import answer_limits
from server.workers.own_spans import ASKED
from server.workers.worker import WorkerDied
from server.workers.worker_pool import WorkerPool
from tests.patience import becomes, wait_for
from tests.server.workers.conftest import Make

PATIENCE = 60.0  #: seconds until a test gives up waiting


def ask(pool: WorkerPool, body: str | bytes, **headers: str) -> Coroutine[Any, Any, Reply]:
    raw = body.encode() if isinstance(body, str) else body
    return pool.answer(Request("predict", "v1", raw, headers))


async def counted(pool: WorkerPool, waiting: int, cancelled: int) -> None:
    """Wait until the worker says so of its requests."""
    async with asyncio.timeout(PATIENCE):
        while (await ask(pool, "count")).body != b"%d %d" % (waiting, cancelled):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def back(pool: WorkerPool) -> None:
    """Wait for the worker that follows one that died."""
    await asyncio.to_thread(wait_for, lambda: pool.restarts and not pool.down, "a new worker")


@pytest.fixture
def serve(make: Make) -> Callable[..., WorkerPool]:
    def serve(**spec: Any) -> WorkerPool:
        pool = make("whole", **spec)
        hello = pool.start()
        assert hello.signature.whole
        return pool

    return serve


def test_requests_and_replies_arrive_whole(serve: Callable[..., WorkerPool]) -> None:
    pool = serve()

    async def talk() -> None:
        reply = await ask(pool, "hello", accept="x/y")
        assert reply == Reply(b"HELLO", {"verb": "predict", "protocol": "v1", "accept": "x/y"}, 200)
        assert (await ask(pool, "teapot")).status == 418
        assert (await ask(pool, b"")).body == b""
        large = b"a" * 5_000_000
        assert (await ask(pool, large)).body == large.upper()

    asyncio.run(talk())


def test_what_user_code_traces_and_prints_comes_with_its_request(
    serve: Callable[..., WorkerPool], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kserve")
    pool, spans = serve(environment={ASKED: "true"}), list[bytes]()
    pool.take_spans = spans.append
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    async def talk() -> None:
        await ask(pool, "trace first")  # which imports what it traces with
        await ask(pool, "trace it", **{"x-request-id": "abc", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"})

    asyncio.run(talk())
    (span,) = map(json.loads, b"\n".join(spans).splitlines())
    assert (span["name"], f"{span['trace_id']:032x}") == ("it", trace)
    wait_for(lambda: "model odd-one | traced it" in caplog.messages)
    (record,) = (each.__dict__ for each in caplog.records if "traced it" in each.getMessage())
    assert (record["request_id"], record["trace_id"]) == ("abc", trace)


def test_many_at_the_same_time_each_with_its_own_answer(serve: Callable[..., WorkerPool]) -> None:
    pool = serve()

    async def talk() -> None:
        for_long = [asyncio.create_task(ask(pool, "wait 1000")) for _ in range(20)]
        await counted(pool, waiting=20, cancelled=0)
        bodies = [f"wait 0.{number % 5}{number:03d}" for number in range(100)]
        replies = await asyncio.gather(*(ask(pool, body) for body in bodies))
        assert [reply.body.decode() for reply in replies] == [body.upper() for body in bodies]
        assert not any(task.done() for task in for_long)
        for task in for_long:
            task.cancel()

    asyncio.run(talk())


def test_failures_are_their_callers_own(serve: Callable[..., WorkerPool]) -> None:
    pool = serve()

    async def talk() -> None:
        slow = asyncio.create_task(ask(pool, "wait 0.3"))
        with pytest.raises(InvalidInput, match="not to its taste"):
            await ask(pool, "do refuse")
        with pytest.raises(ModelFailed, match=r"^KeyError: 'a key'$") as failure:
            await ask(pool, "do fail")
        assert isinstance(failure.value.__cause__, ModelTrace)
        with pytest.raises(ModelFailed, match="SystemExit"):
            await ask(pool, "do exit")
        assert (await slow).body == b"WAIT 0.3"

    asyncio.run(talk())
    assert pool.restarts == 0


@pytest.mark.slow
def test_who_stops_waiting_is_dropped(serve: Callable[..., WorkerPool]) -> None:
    pool = serve()

    async def talk() -> None:
        task = asyncio.create_task(ask(pool, "wait 100"))
        await counted(pool, waiting=1, cancelled=0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await counted(pool, waiting=0, cancelled=1)
        await becomes(lambda: not sum(process.busy for process in pool._serving))

    asyncio.run(talk())


@pytest.mark.slow
def test_a_death_fails_all_that_are_with_it_and_the_worker_comes_back(
    serve: Callable[..., WorkerPool], tmp_path: Path
) -> None:
    pool = serve()
    (tmp_path / "whole" / "model.txt").write_text("gate")  # the next worker comes when the test is ready for it

    async def talk() -> None:
        waiting = [asyncio.create_task(ask(pool, "wait 100")) for _ in range(5)]
        await counted(pool, waiting=5, cancelled=0)
        outcomes = await asyncio.gather(ask(pool, "do crash"), *waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {WorkerDied}
        assert all("the worker crashed (SIGSEGV)" in str(outcome) for outcome in outcomes)
        await asyncio.to_thread(wait_for, lambda: pool.restarts)
        with pytest.raises(NotReady):
            await ask(pool, "x")
        (tmp_path / "whole" / "open").touch()
        await back(pool)
        assert (await ask(pool, "x")).body == b"X"

    asyncio.run(talk())
    assert pool.restarts == 1


@pytest.mark.slow
def test_a_late_answer_is_a_504_and_the_worker_lives(serve: Callable[..., WorkerPool]) -> None:
    """One that waits for something: the others' answers show that the worker is well."""
    pool = serve(call_timeout=6.0)

    async def talk() -> None:
        late = asyncio.create_task(ask(pool, "wait 100"))
        while not late.done():
            assert (await ask(pool, "x")).body == b"X"
            await asyncio.sleep(0.1)
        with pytest.raises(DeadlineExceeded, match=r"longer than 6 s \(call_timeout\)"):
            await late

    asyncio.run(talk())
    assert pool.restarts == 0


@pytest.mark.slow
def test_a_worker_that_answers_nobody_is_killed(serve: Callable[..., WorkerPool]) -> None:
    pool = serve(call_timeout=6.0)

    async def talk() -> None:
        assert (await ask(pool, "x")).body == b"X"  # they are connected: what is sent now is on its way at once
        impatient = asyncio.create_task(ask(pool, "do hang-with-gil"))
        await asyncio.sleep(0.3)
        impatient.cancel()  # that nobody waits any more does not make it less of a hang
        await back(pool)
        assert (await ask(pool, "x")).body == b"X"

    asyncio.run(talk())


@pytest.mark.slow
def test_nonsense_from_the_worker_is_its_end(serve: Callable[..., WorkerPool]) -> None:
    pool = serve()

    async def talk() -> None:
        with pytest.raises(WorkerDied, match="the worker sent what is no message"):
            await ask(pool, "do babble")
        await back(pool)

    asyncio.run(talk())


@pytest.mark.slow
@pytest.mark.parametrize("claim", ["claim", "claim-fields"])
def test_a_claim_of_too_much_is_a_workers_end(serve: Callable[..., WorkerPool], claim: str) -> None:
    pool = serve()

    async def talk() -> None:
        with pytest.raises(WorkerDied, match=r"are too much to pass between processes"):
            await ask(pool, f"do {claim}")
        await back(pool)

    asyncio.run(talk())


def test_an_answer_that_is_too_long_is_told_and_ends_nobody(serve: Callable[..., WorkerPool]) -> None:
    pool = serve(limits=answer_limits(1_000_000))

    async def talk() -> None:
        assert len((await ask(pool, b"a" * 900_000)).body) == 900_000
        with pytest.raises(ModelFailed, match=r"tensors of .* bytes are too much.* 1000000 \(--max_answer_bytes\)"):
            await ask(pool, b"a" * 1_100_000)
        assert (await ask(pool, "x")).body == b"X"

    asyncio.run(talk())
    assert pool.restarts == 0


@pytest.mark.slow
def test_several_workers_share(serve: Callable[..., WorkerPool]) -> None:
    pool = serve(count=2)

    async def talk() -> None:  # each blocks its worker until the other one is asked
        answers = await asyncio.gather(*(ask(pool, "do meet") for _ in range(4)))
        assert [answer.body for answer in answers] == [b"DO MEET"] * 4

    asyncio.run(talk())


@pytest.mark.slow
def test_closing_with_requests_under_way(serve: Callable[..., WorkerPool]) -> None:
    pool = serve()

    async def talk() -> None:
        task = asyncio.create_task(ask(pool, "wait 100"))
        await counted(pool, waiting=1, cancelled=0)
        pool.close()
        with pytest.raises(NotReady):
            await task

    asyncio.run(talk())
