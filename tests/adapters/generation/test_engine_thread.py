"""What all engines share, with one that makes a token a step out of nothing."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
import torch

from adapters.generation import engine_thread, giving_way
from adapters.generation.engine import EngineClosed, EngineFull, Finish, Generation, TokenEvent, TokenStream
from adapters.generation.engine_thread import EngineThread, Submission
from tests.adapters.generation.models import events_of, tokens_of
from tests.patience import becomes

FAILS_TO_START, FAILS_IN_A_STEP = 100, 101


class CountingEngine(EngineThread):
    """Counts from the prompt's id on; each step waits for a permit. A prompt's length is its need in bytes."""

    def __init__(
        self, slots: int = 2, cache_limit: int = 10, max_waiting: int = 2, nice: int = 10, threads: int = 0
    ) -> None:
        super().__init__(slots=slots, cache_limit=cache_limit, max_waiting=max_waiting, nice=nice, threads=threads)
        self.permits = threading.Semaphore(0)
        self.running: list[Submission] = []
        self.policies: set[int] = set()  #: of the scheduler, that its steps have run under
        self.threads: set[int] = set()  #: of PyTorch's, that its steps have had
        self._thread.start()

    def _need(self, generation: Generation) -> int:
        return len(generation.prompt)

    def _cache_bytes(self) -> int:
        return self._reserved

    def _start(self, request: Submission) -> None:
        self.policies.add(os.sched_getscheduler(0))
        self.threads.add(torch.get_num_threads())
        if request.generation.prompt[0] == FAILS_TO_START:
            raise LookupError("cannot start")
        self.running.append(request)

    def _step(self) -> bool:
        assert self.permits.acquire(timeout=60)
        for request in list(self.running):
            generation = request.generation
            if generation.prompt[0] == FAILS_IN_A_STEP:
                raise ArithmeticError("cannot go on")
            if not request.cancelled:
                self._tell(request, TokenEvent(generation.prompt[0], finish=Finish.LENGTH))
            self.running.remove(request)
            self._end(request)
        return bool(self.running)

    def _abandon(self) -> list[Submission]:
        left, self.running = self.running, []
        return left


@pytest.fixture
def engine() -> Iterator[CountingEngine]:
    engine = CountingEngine()
    yield engine
    engine.permits.release(100)
    engine.close()


def generation(first: int = 1, size: int = 1, request: int | None = None) -> Generation:
    return Generation(prompt=[first] * size, max_tokens=1, request=request)


def test_it_admits_as_many_as_have_slots_and_room(engine: CountingEngine) -> None:
    async def run() -> None:
        streams = [engine.submit(generation(number)) for number in range(3)]
        usage = engine.usage()
        assert (usage.running, usage.waiting, usage.cache_bytes, usage.cache_limit) == (2, 1, 2, 10)
        engine.permits.release(100)
        for number, stream in enumerate(streams):
            assert await anext(stream) == TokenEvent(number, finish=Finish.LENGTH)
        await becomes(lambda: engine.usage().running == 0)
        assert engine.usage().generated_tokens == 3

    asyncio.run(run())


def test_the_first_in_the_queue_is_not_overtaken(engine: CountingEngine) -> None:
    async def run() -> None:
        for size in (6, 6, 1):
            engine.submit(generation(size=size))
        assert (engine.usage().running, engine.usage().waiting) == (1, 2)
        with pytest.raises(EngineFull, match="2 generations wait already"):
            engine.submit(generation())

    asyncio.run(run())


def test_nobody_waits_for_the_many_sequences_of_one_request() -> None:
    """They leave a slot and the queue to others; who of them waits takes turns with those of others."""
    engine = CountingEngine(slots=4, cache_limit=100, max_waiting=3)
    order: list[int] = []

    async def run() -> None:
        async def take(stream: TokenStream, name: int) -> None:
            await anext(stream)
            order.append(name)

        taken = [(engine.submit(generation(1, request=7)), 7) for _ in range(6)]
        with pytest.raises(EngineFull, match="3 generations wait already"):
            engine.submit(generation(1, request=7))
        assert (engine.usage().running, engine.usage().waiting) == (3, 3)
        taken += [(engine.submit(generation(2, request=8)), 8), (engine.submit(generation(3)), 9)]
        assert (engine.usage().running, engine.usage().waiting) == (4, 4), "that of 8 runs beside them"
        with pytest.raises(EngineFull):
            engine.submit(generation(2, request=8))
        reading = [asyncio.ensure_future(take(*each)) for each in taken]
        for done in (4, 7, 8):
            engine.permits.release()
            await becomes(lambda done=done: len(order) >= done)
        await asyncio.gather(*reading)

    with closing(engine):
        asyncio.run(run())
        engine.permits.release(100)
    assert sorted(order[:4]) == [7, 7, 7, 8]
    assert sorted(order[4:7]) == [7, 7, 9]


def test_who_leaves_the_queue_lets_the_next_one_in(engine: CountingEngine) -> None:
    async def run() -> None:
        engine.submit(generation(size=6))
        large = engine.submit(generation(size=6))
        engine.submit(generation())
        await large.aclose()
        await large.aclose()
        assert (engine.usage().running, engine.usage().waiting) == (2, 0)

    asyncio.run(run())


def test_what_never_fits_is_refused(engine: CountingEngine) -> None:
    async def run() -> None:
        with pytest.raises(ValueError, match=r"11 \+ 1 tokens takes 11 bytes, and all caches together may take 10"):
            engine.submit(generation(size=11))

    asyncio.run(run())


def test_who_cannot_start_fails_alone(engine: CountingEngine) -> None:
    engine.permits.release(100)

    async def run() -> None:
        bad, good = (asyncio.ensure_future(tokens_of(engine, generation(each))) for each in (FAILS_TO_START, 7))
        with pytest.raises(LookupError):
            await bad
        assert await good == [7]

    asyncio.run(run())


def test_a_step_that_fails_ends_who_runs_and_the_thread_goes_on(engine: CountingEngine) -> None:
    engine.permits.release(100)

    async def run() -> None:
        with pytest.raises(ArithmeticError):
            await events_of(engine, generation(FAILS_IN_A_STEP))
        assert await tokens_of(engine, generation(7)) == [7]

    asyncio.run(run())


def test_closing_fails_who_is_left(engine: CountingEngine) -> None:
    async def run() -> None:
        streams = [engine.submit(generation(size=6)) for _ in range(2)]
        closed = asyncio.ensure_future(asyncio.to_thread(engine.close))
        await becomes(lambda: engine._closed)
        engine.permits.release(100)
        await closed
        with pytest.raises(EngineClosed):
            await anext(streams[1])
        with pytest.raises(EngineClosed):
            engine.submit(generation())
        assert (engine.usage().running, engine.usage().waiting) == (0, 0)

    asyncio.run(run())


def test_a_step_that_does_not_end_is_seen(engine: CountingEngine) -> None:
    async def run() -> None:
        assert engine.usage().step_seconds == 0
        stream = engine.submit(generation())
        await becomes(lambda: engine.usage().step_seconds > 0.02)
        engine.permits.release()
        await anext(stream)
        await becomes(lambda: engine.usage().step_seconds == 0)

    asyncio.run(run())


def test_a_thread_that_ends_fails_all_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    class Exiting(CountingEngine):
        def _step(self) -> bool:
            raise SystemExit("enough")

    engine = Exiting(slots=1)

    async def run() -> None:
        streams = [engine.submit(generation()) for _ in range(2)]
        for stream in streams:
            with pytest.raises(EngineClosed, match="the engine's thread has ended: SystemExit: enough"):
                await anext(stream)
        with pytest.raises(EngineClosed, match="SystemExit: enough"):
            engine.submit(generation())

    asyncio.run(run())
    assert "SystemExit: enough" in engine.usage().failed
    assert "the engine's thread has ended" in caplog.text
    engine.close()


def test_who_is_put_back_comes_first(engine: CountingEngine) -> None:
    async def run() -> None:
        for size in (6, 3, 6):
            engine.submit(generation(size=size))
        await becomes(lambda: len(engine.running) == 2)
        youngest = engine.running[1]
        assert not engine._enlarge(youngest, 5)
        assert engine._enlarge(youngest, 4)
        assert engine.usage().running_bytes == 10
        engine._put_back(youngest, 5)
        assert engine._waiting[0] is youngest
        usage = engine.usage()
        assert (usage.running, usage.waiting, usage.running_bytes, usage.preemptions) == (1, 2, 6, 1)

    asyncio.run(run())


@pytest.mark.parametrize("nice", [0, 5])
def test_its_thread_gives_way_if_it_is_told_to(nice: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_thread, "give_way", giving_way.give_way)
    engine = CountingEngine(nice=nice)
    engine.permits.release(1)
    assert asyncio.run(tokens_of(engine, generation()))
    engine.close()
    assert engine.policies == {os.SCHED_BATCH if nice else os.sched_getscheduler(0)}


def test_its_thread_has_others_beside_it_and_who_makes_it_has_not() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    engine = CountingEngine(threads=3)
    engine.permits.release(1)
    try:
        assert asyncio.run(tokens_of(engine, generation()))
        engine.close()
        assert (engine.threads, torch.get_num_threads()) == ({3}, 1)
    finally:
        torch.set_num_threads(before)
