"""Answers in parts, through real workers: when they come, how they end, what a slow reader and a leaving one do."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.base import InvalidInput, Parts, Reply, ReplyStream, Request
from server.errors import DeadlineExceeded, ModelFailed
from server.runtime import ipc
from server.workers.channels import ModelTrace
from server.workers.launch import answer_limits
from server.workers.streams import WINDOW_BYTES, WINDOW_PARTS
from server.workers.worker import WorkerDied
from server.workers.worker_pool import WorkerPool
from tests.patience import becomes, wait_for
from tests.server.workers.conftest import Make

Serve = Callable[..., WorkerPool]


def ask(pool: WorkerPool, body: str, **headers: str) -> Coroutine[Any, Any, Reply | ReplyStream]:
    return pool.answer(Request("predict", "v1", body.encode(), headers))


@asynccontextmanager
async def stream(pool: WorkerPool, body: str, **headers: str) -> AsyncIterator[Parts]:
    reply = await ask(pool, body, **headers)
    assert isinstance(reply, ReplyStream)
    async with aclosing(reply.parts) as parts:
        yield parts


async def take_all(pool: WorkerPool, body: str, **headers: str) -> list[bytes]:
    async with stream(pool, body, **headers) as parts:
        return [part async for part in parts]


def busy(pool: WorkerPool) -> int:
    return sum(worker.busy for worker in pool._serving)


async def idle(pool: WorkerPool) -> None:
    await becomes(lambda: not busy(pool))


@pytest.fixture
def serve(make: Make) -> Serve:
    def serve(**spec: Any) -> WorkerPool:
        pool = make("parts", **spec)
        assert pool.start().signature.streams
        return pool

    return serve


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """What the stream of the name "stream" leaves behind."""
    return tmp_path / "parts" / "stream"


def made(notes: Path) -> int:
    return int((notes / "made").read_text() or 0) if (notes / "made").exists() else 0


def test_a_part_arrives_before_the_next_is_made(serve: Serve, notes: Path) -> None:
    pool = serve()

    async def main() -> None:
        async with stream(pool, "1 gate:open 1") as parts:
            assert await anext(parts) == b"0"
            assert made(notes) == 1
            (notes / "open").touch()
            assert await anext(parts) == b"1"
            with pytest.raises(StopAsyncIteration):
                await anext(parts)
        await idle(pool)
        assert (notes / "closed").exists()

    asyncio.run(main())


@pytest.mark.slow
def test_long_streams_and_long_parts_come_whole(serve: Serve) -> None:
    pool = serve()

    async def main() -> None:
        assert await take_all(pool, "1000") == [b"%d" % number for number in range(1000)]
        long = [f"x{WINDOW_BYTES * 3}", "x1", "x0", f"x{WINDOW_BYTES}", f"x{WINDOW_BYTES}", "x7"]
        assert [f"x{len(part)}" for part in await take_all(pool, " ".join(long))] == long
        assert await take_all(pool, "0") == []
        reply = await ask(pool, "3")
        assert isinstance(reply, ReplyStream)
        assert (reply.headers, reply.status) == ({"x-verb": "predict"}, 200)
        await reply.parts.aclose()
        await idle(pool)

    asyncio.run(main())


def test_who_leaves_ends_the_work(serve: Serve, notes: Path) -> None:
    pool = serve()

    async def main() -> None:
        async with stream(pool, "3 wait 5") as parts:
            assert [await anext(parts) for _ in range(3)] == [b"0", b"1", b"2"]
            assert not (notes / "closed").exists()
        assert busy(pool) == 1  # until the worker says that it has ended
        await idle(pool)
        assert (notes / "closed").exists()
        assert made(notes) == 3
        assert await take_all(pool, "2") == [b"0", b"1"]

    asyncio.run(main())
    assert pool.restarts == 0


@pytest.mark.slow
def test_a_cancelled_reader_ends_the_work(serve: Serve, notes: Path) -> None:
    pool = serve()

    async def main() -> None:
        task = asyncio.create_task(take_all(pool, "2 wait"))
        await becomes(lambda: made(notes) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await idle(pool)
        assert (notes / "closed").exists()
        never = asyncio.create_task(take_all(pool, "wait", early="yes", name="never"))  # the answer itself waits
        await becomes(lambda: busy(pool) == 1)
        never.cancel()
        with pytest.raises(asyncio.CancelledError):
            await never
        await idle(pool)

    asyncio.run(main())


@pytest.mark.slow
def test_code_that_swallows_the_cancel_is_ended_at_its_next_part(serve: Serve, notes: Path) -> None:
    pool = serve()

    async def main() -> None:
        async with stream(pool, "1 stubborn 100") as parts:
            await anext(parts)
        await idle(pool)
        assert (notes / "closed").exists()
        assert made(notes) == 2

    asyncio.run(main())


def test_a_slow_reader_holds_up_the_work(serve: Serve, notes: Path) -> None:
    pool = serve()

    async def main() -> None:
        async with stream(pool, "1000") as parts:
            await anext(parts)
            await becomes(lambda: made(notes) == WINDOW_PARTS)
            for _ in range(3):  # whatever else goes on meanwhile
                assert await ask(pool, "one more") == Reply(b"more", {})
                assert await take_all(pool, "50", name="other") == [b"%d" % number for number in range(50)]
            assert made(notes) == WINDOW_PARTS
            for taken in range(2, 30):
                await anext(parts)
                assert made(notes) <= taken + WINDOW_PARTS

    asyncio.run(main())


@pytest.mark.slow
def test_a_slow_reader_of_long_parts_holds_one(serve: Serve, notes: Path) -> None:
    pool = serve()

    async def main() -> None:
        async with stream(pool, f"x{WINDOW_BYTES} " * 20) as parts:
            await becomes(lambda: made(notes) == 1)
            await ask(pool, "one more")
            assert made(notes) == 1
            await anext(parts)
            await becomes(lambda: made(notes) == 2)

    asyncio.run(main())


def test_slow_readers_together_hold_no_more_than_one_answer_may(serve: Serve, tmp_path: Path) -> None:
    pool = serve(limits=answer_limits(250_000))

    async def main() -> None:
        async with stream(pool, "x200000 x1", name="one") as one, stream(pool, "x200000 x1", name="two") as two:
            await becomes(lambda: all(made(tmp_path / "parts" / name) for name in ("one", "two")))
            await ask(pool, "one more")  # what was sent before has come
            ends = [await _end_of(parts) for parts in (one, two)]
        assert sorted(ends, key=str) == [200_001, "streams that are read too slowly hold more than 250000 bytes"]
        await idle(pool)
        assert pool.restarts == 0

    asyncio.run(main())


async def _end_of(parts: Parts) -> int | str:
    """The length of all parts, or what they ended with."""
    try:
        return sum([len(part) async for part in parts])
    except ModelFailed as error:
        return str(error)


@pytest.mark.slow
def test_many_at_once_and_a_request_between_their_parts(serve: Serve, tmp_path: Path) -> None:
    pool = serve()

    async def main() -> None:
        names = [f"s{number}" for number in range(64)]
        tasks = [asyncio.create_task(take_all(pool, "5 gate:open 20", name=name)) for name in names]
        await becomes(lambda: all(made(tmp_path / "parts" / name) == 5 for name in names))
        assert await ask(pool, "one in between") == Reply(b"in between", {})
        for name in names:
            (tmp_path / "parts" / name / "open").touch()
        expected = [b"%d" % number for number in range(25)]
        assert [await task for task in tasks] == [expected] * 64
        await idle(pool)

    asyncio.run(main())


@pytest.mark.slow
def test_a_stream_counts_until_its_end(serve: Serve, tmp_path: Path) -> None:
    """So the next goes to the other worker."""
    pool = serve(count=2)

    async def main() -> None:
        async with stream(pool, "1 wait", name="a") as one, stream(pool, "1 wait", name="b") as other:
            assert (await anext(one), await anext(other)) == (b"0", b"0")
            assert [worker.busy for worker in pool._serving] == [1, 1]
        await idle(pool)
        assert all((tmp_path / "parts" / name / "closed").exists() for name in "ab")

    asyncio.run(main())


def test_errors_before_and_after_the_first_part(serve: Serve) -> None:
    pool = serve()

    async def main() -> None:
        with pytest.raises(InvalidInput, match="not to its taste"):
            await ask(pool, "refuse", early="yes")
        with pytest.raises(ModelFailed, match=r"^KeyError: 'a key'$"):
            await ask(pool, "fail", early="yes")
        for word, kind, text in (
            ("refuse", InvalidInput, "x is not to its taste"),
            ("fail", ModelFailed, "KeyError: 'a key'"),
            ("exit", ModelFailed, "SystemExit: 3"),
            ("chosen", ModelFailed, "as it chose"),
        ):
            async with stream(pool, f"2 {word} 5") as parts:
                assert [await anext(parts) for _ in range(2)] == [b"0", b"1"]
                with pytest.raises(kind) as failure:
                    await anext(parts)
                assert str(failure.value) == text
                assert isinstance(failure.value.__cause__, ModelTrace) == (word in ("fail", "exit"))
                with pytest.raises(StopAsyncIteration):
                    await anext(parts)
        await idle(pool)

    asyncio.run(main())
    assert pool.restarts == 0


@pytest.mark.slow
def test_a_death_ends_its_streams(serve: Serve) -> None:
    pool = serve()

    async def main() -> None:
        async with stream(pool, "2 wait", name="a") as read, stream(pool, "2 wait", name="b") as unread:
            assert [await anext(read) for _ in range(2)] == [b"0", b"1"]
            waiting = asyncio.ensure_future(anext(read))
            await becomes(lambda: pool._serving[0]._requests.silent_since is not None)  # type: ignore[union-attr]
            await becomes(lambda: len(unread._stream._parts) == 2)  # type: ignore[attr-defined]
            os.kill(pool._serving[0].pid, signal.SIGKILL)
            with pytest.raises(WorkerDied):
                await waiting
            assert await anext(unread) == b"0"  # what came before counts
            assert await anext(unread) == b"1"
            with pytest.raises(WorkerDied):
                await anext(unread)
        await asyncio.to_thread(wait_for, lambda: pool.restarts and not pool.down, "a new worker")
        assert await take_all(pool, "1") == [b"0"]

    asyncio.run(main())


@pytest.mark.slow
def test_a_late_part_ends_its_stream_and_a_slow_reader_does_not(serve: Serve, notes: Path) -> None:
    """The time that counts is the reader's, waiting; others' answers show that the worker is well."""
    pool = serve(call_timeout=6.0)

    async def main() -> None:
        async with stream(pool, "1 gate:open 1 wait", name="slow") as slow, stream(pool, "1 wait") as parts:
            assert (await anext(slow), await anext(parts)) == (b"0", b"0")
            late = asyncio.ensure_future(anext(parts))
            while not late.done():
                assert await ask(pool, "one x") == Reply(b"x", {})
                await asyncio.sleep(0.05)
            with pytest.raises(DeadlineExceeded, match=r"a part took longer than 6 s \(call_timeout\)"):
                await late
            await becomes((notes / "closed").exists)
            await becomes(lambda: busy(pool) == 1)  # the worker says so after it has closed it
            assert pool._serving[0]._requests.silent_since is None  # type: ignore[union-attr]
            (notes.parent / "slow" / "open").touch()  # nobody waited for it in all that time
            assert await anext(slow) == b"1"

    asyncio.run(main())
    assert pool.restarts == 0


@pytest.mark.slow
def test_a_worker_that_hangs_in_a_stream_is_killed(serve: Serve) -> None:
    pool = serve(call_timeout=6.0)

    async def main() -> None:
        async with stream(pool, "1 hang-with-gil") as parts:
            assert await anext(parts) == b"0"
            with pytest.raises((DeadlineExceeded, WorkerDied)):
                await anext(parts)
        await asyncio.to_thread(wait_for, lambda: pool.restarts and not pool.down, "a new worker")

    asyncio.run(main())


def forged(fields: dict[str, Any], **tensors: Any) -> str:
    return "raw " + b"".join(ipc.pack(fields, tensors)).decode("latin-1")


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 99, "part": True},
        {"id": 99, "headers": {}, "status": 200},
        {"id": [0]},
        {"id": "0", "part": True},
        {"part": True},
        {"id": 0, "part": True},
        {"id": 0, "end": True},
        {"id": 0},
        {"id": 0, "headers": {}, "status": 200, "stream": True},
        {"id": 1, "stream": True, "headers": [], "status": 200},
        {"id": 1, "stream": True, "headers": {}, "status": "200"},
    ],
    ids=str,
)
@pytest.mark.slow
def test_nonsense_from_the_worker_is_its_end(serve: Serve, fields: dict[str, Any]) -> None:
    """Request 0 is a stream that has begun, request 1 waits for its answer; there are no others."""
    pool = serve()

    async def main() -> None:
        async with stream(pool, "1 wait") as parts:
            assert await anext(parts) == b"0"
            forging = asyncio.create_task(ask(pool, forged(fields)))
            if fields == {"id": 0, "end": True}:  # a stream may end; but not twice
                with pytest.raises(StopAsyncIteration):
                    await anext(parts)
                forging.cancel()
                forging = asyncio.create_task(ask(pool, forged(fields)))
            with pytest.raises(WorkerDied, match="the worker sent what is no message"):
                await forging

    asyncio.run(main())
