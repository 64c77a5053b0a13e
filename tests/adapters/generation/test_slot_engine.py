"""Sequences in slots: the same tokens as alone, a bounded step, room in bytes, and what one failure costs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from adapters.generation import slot_engine
from adapters.generation.engine import EngineClosed, EngineFull, Finish, Generation, Sampling
from adapters.generation.kv_blocks import SMALLEST_CAPACITY
from adapters.generation.slot_engine import SlotEngine
from adapters.generation.slot_support import cache_shape
from tests.adapters.generation.masks import by
from tests.adapters.generation.models import events_of, gate, greedy, prompt_of, tiny, together, tokens_of
from tests.patience import becomes

CACHE = 1 << 24
HELD = ("Llama", "Qwen3", "Mistral", "GPT2", "Phi", "GPTNeoX", "Gemma", "Mixtral", "OPT")


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny("Llama")


@pytest.fixture(scope="module")
def reference() -> Any:
    """The same weights, and no engine has it."""
    return tiny("Llama")


@pytest.fixture
def engine(llama: Any) -> Iterator[SlotEngine]:
    with closing(SlotEngine(llama, cache_limit=CACHE, slots=32)) as engine:
        yield engine


@pytest.mark.slow
@pytest.mark.parametrize("architecture", HELD)
def test_tokens_are_those_of_generate_whatever_else_runs(architecture: str) -> None:
    model = tiny(architecture)
    prompts = [prompt_of(length, length) for length in (1, 2, 17, 40, 140, 3, 128)]
    alone = [greedy(model, prompt, 20) for prompt in prompts]
    with closing(SlotEngine(model, cache_limit=CACHE, slots=4, prefill_chunk=32)) as engine:
        assert together(engine, [Generation(prompt=prompt, max_tokens=20) for prompt in prompts]) == alone
        usage = engine.usage()
    assert (usage.running, usage.waiting) == (0, 0)
    assert usage.generated_tokens == 20 * len(prompts)
    assert usage.prompt_tokens == sum(map(len, prompts))
    assert greedy(model, prompts[1], 20) == alone[1], "the model has its own attention again"


@pytest.mark.slow
def test_tokens_are_those_of_generate_while_caches_grow_and_move(
    llama: Any, reference: Any, engine: SlotEngine
) -> None:
    """Past two changes of block, with neighbours that leave at other times."""
    prompts = [prompt_of(100 + 7 * number, number) for number in range(20)]
    lengths = [10 + 9 * number for number in range(20)]
    alone = [greedy(reference, prompt, length) for prompt, length in zip(prompts, lengths, strict=True)]
    generations = [Generation(prompt=p, max_tokens=n) for p, n in zip(prompts, lengths, strict=True)]
    assert together(engine, generations) == alone


def test_a_newcomer_costs_the_others_one_chunk_a_step(llama: Any, engine: SlotEngine) -> None:
    async def run() -> list[int]:
        with gate(llama) as steps:
            first = asyncio.ensure_future(tokens_of(engine, Generation(prompt=prompt_of(5), max_tokens=8)))
            await steps.reached()
            others = [prompt_of(300, 1), prompt_of(100, 2)]
            late = [asyncio.ensure_future(tokens_of(engine, Generation(prompt=p, max_tokens=2))) for p in others]
            await becomes(lambda: engine.usage().running == 3)
            steps.let_all()
            await asyncio.gather(first, *late)
            return steps.sizes

    # the first prompt alone; then its token, and half a chunk of the long newcomer beside the short one's, which has
    # its own two tokens before the long one is read
    assert asyncio.run(run())[:6] == [5, 1 + 64 + 64, 1 + 92 + 36, 2 + 128, 1 + 16, 2]


def test_prompts_are_read_in_larger_parts_while_nobody_waits_for_tokens(llama: Any, engine: SlotEngine) -> None:
    with gate(llama, is_open=True) as steps:
        together(engine, [Generation(prompt=prompt_of(400), max_tokens=1)])
    assert steps.sizes == [400]


def test_what_begins_as_another_did_is_not_computed_again(llama: Any, reference: Any, engine: SlotEngine) -> None:
    system = prompt_of(60)
    turn = [*system, *prompt_of(9, 1)]
    expected = greedy(reference, turn, 12)
    [first] = together(engine, [Generation(prompt=turn, max_tokens=12)])
    assert first == expected
    assert engine.usage().prefix_hits == 0
    follow_up = [*turn, *first, *prompt_of(5, 2)]
    other = [*system, *prompt_of(30, 3)]
    answers = [greedy(reference, prompt, 12) for prompt in (follow_up, other)]
    with gate(llama, is_open=True) as steps:
        assert together(engine, [Generation(prompt=follow_up, max_tokens=12)]) == answers[:1]
        assert steps.sizes[0] == 1 + 5, "the last token was never computed, and what came after it"
        assert together(engine, [Generation(prompt=other, max_tokens=12)]) == answers[1:]
    assert engine.usage().prefix_hits == len(turn) + 11 + len(system)


def test_what_begins_as_one_that_still_runs_is_not_computed_again(
    llama: Any, reference: Any, engine: SlotEngine
) -> None:
    prompt = prompt_of(64)
    answer = greedy(reference, prompt, 6)

    async def run() -> list[list[int]]:
        with gate(llama) as steps:
            first = asyncio.ensure_future(tokens_of(engine, Generation(prompt=prompt, max_tokens=6)))
            await steps.reached()
            second = asyncio.ensure_future(tokens_of(engine, Generation(prompt=prompt, max_tokens=6)))
            await becomes(lambda: engine.usage().running == 2)
            steps.let_all()
            return await asyncio.gather(first, second)

    assert asyncio.run(run()) == [answer, answer]
    assert engine.usage().prefix_hits == len(prompt) - 1


def test_a_stream_tells_how_much_of_its_prompt_was_not_computed(engine: SlotEngine) -> None:
    async def cached() -> int:
        stream = engine.submit(Generation(prompt=prompt_of(40), max_tokens=1))
        try:
            assert stream.cached_tokens == 0
            await anext(stream)
            return stream.cached_tokens
        finally:
            await stream.aclose()

    assert [asyncio.run(cached()) for _ in range(2)] == [0, 39]


@pytest.mark.slow
def test_kept_caches_give_way_to_those_that_run(llama: Any, reference: Any) -> None:
    row = cache_shape(llama).bytes_per_token * SMALLEST_CAPACITY
    with closing(SlotEngine(llama, cache_limit=2 * row)) as engine:
        for number in range(4):
            prompt = prompt_of(50, number)
            answers = together(engine, [Generation(prompt=prompt, max_tokens=60)])
            assert answers == [greedy(reference, prompt, 60)]
            assert engine.usage().cache_bytes <= 2 * row
        [again] = together(engine, [Generation(prompt=prompt_of(50, 3), max_tokens=60)])
        assert again == greedy(reference, prompt_of(50, 3), 60)
        assert engine.usage().prefix_hits == 49, "the youngest was kept"


@pytest.mark.parametrize("stage", ["waiting", "reading", "decoding"])
def test_who_is_closed_is_gone_within_a_step(llama: Any, stage: str) -> None:
    """The neighbour goes on, and the room is another's."""
    engine = SlotEngine(llama, cache_limit=CACHE, slots=1 if stage == "waiting" else 2, prefill_chunk=16)

    async def run() -> None:
        with gate(llama) as steps:
            neighbour = engine.submit(Generation(prompt=prompt_of(4), max_tokens=30))
            await steps.reached()
            steps.let()
            await anext(neighbour)
            await steps.reached()
            given_up = engine.submit(Generation(prompt=prompt_of(3 if stage == "decoding" else 200, 1), max_tokens=30))
            steps.let()
            await steps.reached()
            if stage != "waiting":
                steps.let()  # the one that it is read in, or begins to be
                await steps.reached()
            assert (engine.usage().running, engine.usage().waiting) == ((1, 1) if stage == "waiting" else (2, 0))
            before = len(steps.passed)
            await given_up.aclose()
            steps.let()
            await steps.reached()
            assert (engine.usage().running, engine.usage().waiting) == (1, 0)
            assert len(steps.passed) == before + 1
            steps.let()
            await steps.reached()
            assert steps.sizes[-1] == 1, "the neighbour alone"
            with pytest.raises(StopAsyncIteration):
                await anext(given_up)
            await neighbour.aclose()

    with closing(engine):
        asyncio.run(run())


def test_room_is_given_in_bytes_and_in_order(llama: Any) -> None:
    row = cache_shape(llama).bytes_per_token * SMALLEST_CAPACITY
    engine = SlotEngine(llama, cache_limit=2 * row, max_waiting=2)

    async def run() -> None:
        with pytest.raises(ValueError, match=r"400 \+ 5 tokens takes \d+ bytes"):
            engine.submit(Generation(prompt=prompt_of(400), max_tokens=5))
        with gate(llama) as steps:
            small = Generation(prompt=prompt_of(3), max_tokens=3)
            large = Generation(prompt=prompt_of(100), max_tokens=60)
            first = asyncio.ensure_future(tokens_of(engine, small))
            await steps.reached()
            rest = [asyncio.ensure_future(tokens_of(engine, each)) for each in (large, small)]
            await becomes(lambda: engine.usage().waiting == 2)
            assert engine.usage().running == 1, "the small one does not overtake the large one"
            with pytest.raises(EngineFull, match="2 generations wait"):
                engine.submit(small)
            steps.let_all()
            await asyncio.gather(first, *rest)

    with closing(engine):
        asyncio.run(run())
        assert engine.usage().waiting == 0


def test_a_seed_draws_the_same_alone_and_among_others(engine: SlotEngine) -> None:
    def drawn(seed: int, **cuts: Any) -> Generation:
        sampling = Sampling(temperature=1.3, seed=seed, **cuts)
        return Generation(prompt=prompt_of(20, seed), max_tokens=30, sampling=sampling)

    kinds: list[dict[str, Any]] = [{}, {"top_k": 20}, {"top_p": 0.9}, {"min_p": 0.02, "top_p": 0.95, "top_k": 40}]
    generations = [drawn(seed, **kinds[seed % len(kinds)]) for seed in range(32)]
    alone = [together(engine, [each])[0] for each in generations[:8]]
    assert together(engine, generations)[:8] == alone


def test_without_a_seed_each_draws_its_own(engine: SlotEngine) -> None:
    generation = Generation(prompt=prompt_of(20), max_tokens=30, sampling=Sampling(temperature=1.5))
    one, other = together(engine, [generation, generation])
    assert one != other


def test_a_mask_that_fails_ends_its_own_sequence(llama: Any, reference: Any, engine: SlotEngine) -> None:
    def failing(made: Sequence[int], row: Any) -> None:
        if len(made) == 2:
            raise LookupError("no such state")

    def even(made: Sequence[int], row: Any) -> None:
        row[1::2] = -float("inf")

    async def run() -> list[Any]:
        good = Generation(prompt=prompt_of(6), max_tokens=9)
        masked = Generation(prompt=prompt_of(6), max_tokens=9, mask=by(even))
        bad = Generation(prompt=prompt_of(9, 1), max_tokens=9, mask=by(failing))
        runs = (tokens_of(engine, each) for each in (good, masked, bad))
        return await asyncio.gather(*runs, return_exceptions=True)

    good, masked, error = asyncio.run(run())
    assert good == greedy(reference, prompt_of(6), 9)
    assert len(masked) == 9
    assert all(token % 2 == 0 for token in masked)
    assert isinstance(error, LookupError)
    assert engine.usage().running == 0


class LateMask:
    """One that is ready when a test says so, and then lets everything follow."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.looks = 0

    def is_ready(self, patience: float = 0.0) -> bool:
        self.looks += 1
        return self.ready.wait(patience)

    def apply(self, row: Any) -> None:
        assert self.ready.is_set()

    def advance(self, token: int) -> None:
        """What follows is ready as well."""


def test_a_mask_that_takes_long_holds_its_own_sequence_only(reference: Any, engine: SlotEngine) -> None:
    late = LateMask()

    async def run() -> tuple[list[int], list[int]]:
        slow = asyncio.ensure_future(
            tokens_of(engine, Generation(prompt=prompt_of(6), max_tokens=9, mask=lambda: late))
        )
        await becomes(lambda: late.looks)
        fast = await tokens_of(engine, Generation(prompt=prompt_of(9, 1), max_tokens=9))
        assert not slow.done()
        late.ready.set()
        return fast, await slow

    fast, slow = asyncio.run(run())
    assert fast == greedy(reference, prompt_of(9, 1), 9)
    assert slow == greedy(reference, prompt_of(6), 9)


def test_who_waits_for_a_mask_may_give_up(engine: SlotEngine) -> None:
    late = LateMask()

    async def run() -> None:
        stream = engine.submit(Generation(prompt=prompt_of(6), max_tokens=9, mask=lambda: late))
        await becomes(lambda: late.looks)
        await stream.aclose()
        await becomes(lambda: engine.usage().running == 0)

    asyncio.run(run())


def test_who_makes_the_model_fail_ends_alone(llama: Any, reference: Any, engine: SlotEngine) -> None:
    async def run(prompts: Sequence[Sequence[int]]) -> list[Any]:
        runs = (tokens_of(engine, Generation(prompt=prompt, max_tokens=9)) for prompt in prompts)
        return await asyncio.gather(*runs, return_exceptions=True)

    prompts = [prompt_of(6), [*prompt_of(7, 1), 1, *prompt_of(3)], prompt_of(30, 2)]
    answers = [greedy(reference, prompt, 9) for prompt in prompts]
    assert 1 not in {*answers[0], *answers[2], *prompts[0], *prompts[2]}, "another id has to be the culprit's"
    with gate(llama, is_open=True, refused=1):
        first, error, last = asyncio.run(run(prompts))
    assert [first, last] == [answers[0], answers[2]]
    assert "fails with 1" in str(error)
    assert together(engine, [Generation(prompt=prompts[1], max_tokens=9)]) == [answers[1]], "it goes on"


def test_a_step_that_fails_for_all_ends_all_and_the_engine_goes_on(
    reference: Any, engine: SlotEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(logits: Any, sequences: Any) -> Any:
        raise MemoryError("no room for anybody")

    generation = Generation(prompt=prompt_of(20), max_tokens=5)
    with monkeypatch.context() as patch:
        patch.setattr(slot_engine, "next_events", fail)
        with pytest.raises(MemoryError):
            together(engine, [generation, generation])
    assert together(engine, [generation]) == [greedy(reference, prompt_of(20), 5)]
    assert engine.usage().running == 0


def test_a_generation_ends_with_a_stop_id(llama: Any, reference: Any, engine: SlotEngine) -> None:
    answer = greedy(reference, prompt_of(8), 30)
    stop = answer[5]
    events = asyncio.run(events_of(engine, Generation(prompt=prompt_of(8), max_tokens=30, stop_ids=frozenset({stop}))))
    assert [each.token for each in events] == answer[: answer.index(stop) + 1]
    assert [each.finish for each in events] == [*[None] * (len(events) - 1), Finish.STOP]
    events = asyncio.run(events_of(engine, Generation(prompt=prompt_of(8), max_tokens=2)))
    assert [each.finish for each in events] == [None, Finish.LENGTH]


def test_nothing_asked_is_nothing_answered(engine: SlotEngine) -> None:
    assert together(engine, [Generation(prompt=prompt_of(8), max_tokens=0)]) == [[]]


def test_closing_fails_what_runs_and_waits(llama: Any) -> None:
    engine = SlotEngine(llama, cache_limit=CACHE, slots=1)

    async def run() -> None:
        generation = Generation(prompt=prompt_of(5), max_tokens=40)
        with gate(llama) as steps:
            streams = [engine.submit(generation), engine.submit(generation)]
            await steps.reached()
            closed = asyncio.ensure_future(asyncio.to_thread(engine.close))
            await becomes(lambda: engine._closed)
            steps.let_all()
            await closed
        await anext(streams[0])
        for stream in streams:
            with pytest.raises(EngineClosed):
                await anext(stream)
        with pytest.raises(EngineClosed):
            engine.submit(generation)
        assert engine.usage().running == 0
        engine.close()

    asyncio.run(run())
