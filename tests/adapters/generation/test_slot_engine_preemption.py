"""Caches that grow until there is no room: the youngest sequences give way, and lose nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import closing
from typing import Any

import pytest

from adapters.generation.engine import Generation, Sampling
from adapters.generation.kv_blocks import SMALLEST_CAPACITY, CachePool, capacity_of
from adapters.generation.slot_engine import SlotEngine
from adapters.generation.slot_support import cache_shape
from tests.adapters.generation.models import events_of, gate, greedy, prompt_of, tiny, tokens_of
from tests.patience import becomes

LONG = 200


def engine_of(model: Any, rows: int, **settings: Any) -> SlotEngine:
    """With room for so many rows of the least capacity."""
    return SlotEngine(model, cache_limit=rows * SMALLEST_CAPACITY * cache_shape(model).bytes_per_token, **settings)


async def all_at_once(engine: SlotEngine, model: Any, *runs: Coroutine[Any, Any, Any]) -> list[Any]:
    """What comes of runs of which none makes a token before all have been submitted."""
    with gate(model) as steps:
        begun = [asyncio.ensure_future(each) for each in runs]
        await becomes(lambda: (usage := engine.usage()).running + usage.waiting == len(begun))
        steps.let_all()
        return await asyncio.gather(*begun)


def test_who_may_write_much_holds_no_more_than_it_has_written() -> None:
    """Eight that may fill the context run at once, where whole contexts would leave room for one."""
    model = tiny("Llama")
    engine = engine_of(model, 8)

    async def run() -> None:
        with gate(model) as steps:
            whole = Generation(prompt=prompt_of(3), max_tokens=8 * SMALLEST_CAPACITY - 3 - 384)
            streams = [engine.submit(Generation(prompt=prompt_of(3), max_tokens=SMALLEST_CAPACITY - 3))]
            streams += [engine.submit(whole) for _ in range(3)]
            await steps.reached()
            assert engine.usage().running == 4
            assert engine.usage().running_bytes < engine.usage().cache_limit
            for stream in streams:
                await stream.aclose()
            steps.let_all()
            await becomes(lambda: engine.usage().running == 0)
        assert engine.usage().running_bytes == 0

    with closing(engine):
        asyncio.run(run())


@pytest.mark.slow
def test_all_get_their_tokens_in_a_cache_that_is_too_small() -> None:
    model, reference = tiny("Llama"), tiny("Llama")
    prompts = [prompt_of(20 + number, number) for number in range(5)]
    alone = [greedy(reference, prompt, LONG) for prompt in prompts]
    with closing(engine_of(model, 5)) as engine:
        runs = (tokens_of(engine, Generation(prompt=prompt, max_tokens=LONG)) for prompt in prompts)
        assert asyncio.run(all_at_once(engine, model, *runs)) == alone
        usage = engine.usage()
    assert usage.preemptions > 0
    assert (usage.running, usage.waiting, usage.running_bytes) == (0, 0, 0)
    assert usage.cache_bytes <= usage.cache_limit
    assert usage.prompt_tokens == sum(map(len, prompts)), "those that were put back count once"
    assert usage.generated_tokens == LONG * len(prompts)


@pytest.mark.slow
def test_the_oldest_goes_on_and_the_youngest_gives_way() -> None:
    model = tiny("Llama")
    ended: list[int] = []

    async def one(engine: SlotEngine, number: int) -> None:
        await tokens_of(engine, Generation(prompt=prompt_of(8, number), max_tokens=LONG))
        ended.append(number)

    with closing(engine_of(model, 4)) as engine:
        asyncio.run(all_at_once(engine, model, *(one(engine, number) for number in range(4))))
        assert engine.usage().preemptions > 0
    assert ended == [0, 1, 2, 3]


@pytest.mark.slow
def test_seeds_and_the_logprobs_of_prompts_come_through_it() -> None:
    model = tiny("Llama")
    drawn = [
        Generation(
            prompt=prompt_of(100, number),
            max_tokens=170,
            sampling=Sampling(temperature=1.0, seed=number),
            logprobs=0,
            prompt_logprobs=True,
        )
        for number in range(4)
    ]
    with closing(engine_of(model, 40)) as roomy:
        expected = [asyncio.run(events_of(roomy, each)) for each in drawn]
        assert roomy.usage().preemptions == 0

    with closing(engine_of(model, 4, prefill_chunk=48)) as engine:
        found = asyncio.run(all_at_once(engine, model, *(events_of(engine, each) for each in drawn)))
        assert engine.usage().preemptions > 0
    for events, alone in zip(found, expected, strict=True):
        assert [(each.token, each.in_prompt, each.finish) for each in events] == [
            (each.token, each.in_prompt, each.finish) for each in alone
        ]


def test_one_that_is_put_back_may_be_given_up() -> None:
    model, reference = tiny("Llama"), tiny("Llama")

    async def run(engine: SlotEngine) -> None:
        with gate(model) as steps:
            first = asyncio.ensure_future(tokens_of(engine, Generation(prompt=prompt_of(8), max_tokens=200)))
            await asyncio.sleep(0)  # it is the older one
            second = engine.submit(Generation(prompt=prompt_of(9), max_tokens=200))
            steps.let_all()
        await becomes(lambda: engine.usage().preemptions > 0)
        await second.aclose()
        assert await first == greedy(reference, prompt_of(8), 200)
        await becomes(lambda: engine.usage().running == 0)
        assert engine.usage().waiting == 0

    with closing(engine_of(model, 3)) as engine:
        asyncio.run(run(engine))


@pytest.mark.parametrize("failing", ["reading", "growing"])
def test_where_there_is_no_memory_for_it_one_fails_alone(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, reference = tiny("Llama"), tiny("Llama")
    allocate = CachePool.allocate
    refused = capacity_of(150) if failing == "reading" else capacity_of(SMALLEST_CAPACITY + 1)

    def allocating(self: CachePool, rows: int, capacity: int) -> Any:
        if capacity == refused:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return allocate(self, rows, capacity)

    async def run(engine: SlotEngine) -> None:
        bad = Generation(prompt=prompt_of(150 if failing == "reading" else 10), max_tokens=140)
        good = Generation(prompt=prompt_of(5), max_tokens=60)
        failed, fine = await asyncio.gather(tokens_of(engine, bad), tokens_of(engine, good), return_exceptions=True)
        assert isinstance(failed, RuntimeError)
        assert fine == greedy(reference, prompt_of(5), 60)

    with closing(engine_of(model, 20)) as engine:
        monkeypatch.setattr(CachePool, "allocate", allocating)
        asyncio.run(run(engine))
        assert engine.usage().running_bytes == 0


def test_the_longest_row() -> None:
    shape = cache_shape(tiny("Llama"))
    for tokens, longest in (
        (100, 0),
        (128, 128),
        (150, 128),
        (159, 128),
        (160, 160),
        (256, 256),
        (319, 256),
        (320, 320),
    ):
        pool = CachePool(shape, tokens * shape.bytes_per_token)
        assert pool.longest() == longest
        assert longest == 0 or capacity_of(longest) == longest
