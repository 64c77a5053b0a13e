"""Many sequences of all sizes that share beginnings, come in any order, and partly leave, in too small a cache."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.generation.engine import Generation
from adapters.generation.kv_blocks import capacity_of
from adapters.generation.slot_engine import SlotEngine
from adapters.generation.slot_support import cache_shape
from tests.adapters.generation.models import greedy, prompt_of, tiny
from tests.patience import becomes

LONGEST = 300  #: tokens of prompt and answer


@dataclass(frozen=True)
class Visit:
    prompt: list[int]
    tokens: int
    taken: int  #: after so many it leaves


def visits(count: int, seed: int) -> list[Visit]:
    chance = random.Random(seed)
    found = []
    for number in range(count):
        beginning = prompt_of(180, chance.randrange(3))[: chance.randrange(1, 180)]
        tokens = chance.randrange(1, 90)
        taken = chance.randrange(1, tokens + 1) if chance.random() < 0.3 else tokens
        found.append(Visit([*beginning, *prompt_of(chance.randrange(30), number)], tokens, taken))
    return found


async def made(engine: SlotEngine, visit: Visit) -> list[int]:
    stream = engine.submit(Generation(prompt=visit.prompt, max_tokens=visit.tokens))
    tokens: list[int] = []
    async for event in stream:
        tokens.append(event.token)
        if len(tokens) == visit.taken:
            break
    await stream.aclose()
    return tokens


@pytest.mark.slow
def test_each_gets_its_own_tokens_and_nothing_is_left_behind() -> None:
    model, reference = tiny("Llama"), tiny("Llama")
    everyone = visits(40, seed=1)
    expected = [greedy(reference, visit.prompt, visit.taken) for visit in everyone]
    limit = cache_shape(model).bytes_per_token * capacity_of(LONGEST) * 5
    engine = SlotEngine(model, cache_limit=limit, slots=8, prefill_chunk=64)

    async def run() -> list[Any]:
        found = await asyncio.gather(*(made(engine, visit) for visit in everyone))
        await becomes(lambda: engine.usage().running == 0)
        return found

    with closing(engine):
        assert asyncio.run(run()) == expected
        usage = engine.usage()
        assert usage.waiting == 0
        assert usage.prefix_hits > 0
        assert usage.cache_bytes <= limit
    assert engine.usage().cache_bytes == 0, "what was kept was all that there was"
