"""What slots cannot hold, one at a time: the tokens of generate, and the same words as in slots."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import torch

from adapters.generation.engine import EngineClosed, EngineFull, Finish, Generation, Sampling, TokenEvent
from adapters.generation.sequential_engine import SequentialEngine
from adapters.generation.slot_engine import SlotEngine
from tests.adapters.generation.masks import by
from tests.adapters.generation.models import events_of, greedy, prompt_of, tiny, together, tokens_of
from tests.patience import becomes


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["windows", "Gemma3", "Bloom", "Mamba", "T5", "Bart"])
def test_tokens_are_those_of_generate(architecture: str) -> None:
    model = tiny(architecture)
    prompts = [prompt_of(length, length) for length in (1, 5, 30)]
    alone = [greedy(model, prompt, 15) for prompt in prompts]
    with closing(SequentialEngine(model)) as engine:
        assert together(engine, [Generation(prompt=prompt, max_tokens=15) for prompt in prompts]) == alone
        assert engine.usage().generated_tokens == 45
        assert engine.usage().running == 0
    assert greedy(model, prompts[1], 15) == alone[1]


def test_what_the_models_own_settings_say_of_sampling_counts_for_nothing() -> None:
    model = tiny("windows")
    alone = greedy(model, prompt_of(5), 15)
    model.generation_config.update(do_sample=True, temperature=9.0, repetition_penalty=5.0, min_length=3)
    own = model.generation_config
    with closing(SequentialEngine(model)) as engine:
        assert together(engine, [Generation(prompt=prompt_of(5), max_tokens=15)]) == [alone]
    assert model.generation_config is own


def test_sampling_stops_and_logprobs_are_those_of_slots() -> None:
    sampling = Sampling(temperature=1.2, top_p=0.95, seed=7, repetition_penalty=1.2, frequency_penalty=0.3)
    generation = Generation(prompt=prompt_of(20), max_tokens=25, sampling=sampling, logprobs=2, prompt_logprobs=True)
    with closing(SlotEngine(tiny("Llama"), cache_limit=1 << 24)) as slots:
        expected = asyncio.run(events_of(slots, generation))
    with closing(SequentialEngine(tiny("Llama"))) as engine:
        found = asyncio.run(events_of(engine, generation))
        stop = found[-5].token
        stopped = Generation(prompt=prompt_of(20), max_tokens=25, sampling=sampling, stop_ids=frozenset({stop}))
        events = asyncio.run(events_of(engine, stopped))
    assert [each.token for each in found] == [each.token for each in expected]
    assert [each.finish for each in found] == [each.finish for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
        assert [token for token, _ in one.top] == [token for token, _ in other.top]
    assert events[-1] == TokenEvent(stop, finish=Finish.STOP)
    assert len(events) <= 21


def test_prompts_alone_are_told_where_the_model_reads_them_itself() -> None:
    with closing(SequentialEngine(tiny("windows"))) as engine:
        events = asyncio.run(events_of(engine, Generation(prompt=prompt_of(5), max_tokens=0, prompt_logprobs=True)))
    assert [(each.token, each.in_prompt) for each in events] == [(token, True) for token in prompt_of(5)]
    with closing(SequentialEngine(tiny("T5"))) as engine, pytest.raises(ValueError, match="read by an encoder"):
        engine.submit(Generation(prompt=prompt_of(5), max_tokens=5, prompt_logprobs=True))


def test_the_repetition_penalty_of_an_encoders_model_counts_the_answer() -> None:
    model, prompt = tiny("T5"), prompt_of(12)
    ids = torch.tensor([prompt])
    whole = model.generate(ids, max_new_tokens=12, repetition_penalty=1.5, do_sample=False)[0].tolist()
    with closing(SequentialEngine(model)) as engine:
        generation = Generation(prompt=prompt, max_tokens=12, sampling=Sampling(repetition_penalty=1.5))
        assert together(engine, [generation]) == [whole[1:]]


def test_a_mask_that_fails_ends_its_own_sequence() -> None:
    def failing(made: Any, row: Any) -> None:
        raise LookupError("no such state")

    async def run(engine: SequentialEngine) -> list[Any]:
        bad = Generation(prompt=prompt_of(5), max_tokens=5, mask=by(failing))
        runs = (tokens_of(engine, each) for each in (bad, Generation(prompt=prompt_of(5), max_tokens=5)))
        return await asyncio.gather(*runs, return_exceptions=True)

    model = tiny("windows")
    answer = greedy(model, prompt_of(5), 5)
    with closing(SequentialEngine(model)) as engine:
        error, good = asyncio.run(run(engine))
    assert isinstance(error, LookupError)
    assert good == answer


@contextmanager
def counted(model: Any) -> Iterator[list[int]]:
    """One entry for each forward of the model."""
    forwards: list[int] = []
    handle = model.register_forward_pre_hook(lambda module, given: forwards.append(1))
    yield forwards
    handle.remove()


def test_who_is_closed_is_gone_within_a_step() -> None:
    """A mask of the first one's holds it at its third token until all is as it should be."""
    model = tiny("windows")
    engine = SequentialEngine(model, max_waiting=1)

    async def run(forwards: list[int]) -> None:
        loop, reached, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

        def wait(made: Any, row: Any) -> None:
            if len(made) == 2:
                loop.call_soon_threadsafe(reached.set)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(60)

        given_up = engine.submit(Generation(prompt=prompt_of(5), max_tokens=400, mask=by(wait)))
        next_one = engine.submit(Generation(prompt=prompt_of(5), max_tokens=3))
        with pytest.raises(EngineFull):
            engine.submit(Generation(prompt=prompt_of(5), max_tokens=3))
        await reached.wait()
        await given_up.aclose()
        go_on.set()
        assert len([event async for event in next_one]) == 3
        assert len(forwards) == 6

    with closing(engine), counted(model) as forwards:
        asyncio.run(run(forwards))


def test_closing_fails_what_runs_and_waits() -> None:
    engine = SequentialEngine(tiny("windows"))

    async def run() -> None:
        loop, reached, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

        def wait(made: Any, row: Any) -> None:
            loop.call_soon_threadsafe(reached.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(60)

        generation = Generation(prompt=prompt_of(5), max_tokens=400, mask=by(wait))
        streams = [engine.submit(generation), engine.submit(generation)]
        await reached.wait()
        closed = asyncio.ensure_future(asyncio.to_thread(engine.close))
        await becomes(lambda: engine._closed)
        go_on.set()
        await closed
        await anext(streams[0])
        for stream in streams:
            with pytest.raises(EngineClosed):
                await anext(stream)

    asyncio.run(run())
