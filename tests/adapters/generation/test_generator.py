"""Jobs through an engine: how many sequences, with what, and what becomes of those that find no room."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from adapters.generation.chat_template import ChatTemplate
from adapters.generation.generator import Generator
from adapters.generation.prompts import Prompts
from adapters.generation.refusal import RefusedJob
from adapters.generation.vocabulary import Vocabulary
from tests.adapters.generation.scripted_engine import ScriptedEngine, events_of

HELLO = [{"role": "user", "content": "hello"}]


def generator(vocabulary: Vocabulary, engine: ScriptedEngine) -> Generator:
    tokenizer = vocabulary.tokenizer
    return Generator(engine, Prompts(vocabulary, ChatTemplate(tokenizer), 128, frozenset({tokenizer.eos_token_id})))


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def parts_of(made: Generator, **fields: Any) -> list[Any]:
    try:
        async with aclosing(await made.begin(made.job(fields))) as parts:
            return [orjson.loads(part) async for part in parts]
    finally:
        made.close()


def test_prompts_times_n(vocabulary: Vocabulary) -> None:
    engine = ScriptedEngine([events_of([50, 51])])
    parts = run(parts_of(generator(vocabulary, engine), prompt=["one", "two"], n=2, seed=4))
    assert len(engine.asked) == 4
    assert [each.sampling.seed for each in engine.asked] == [4, 5, 4, 5]
    assert engine.asked[0].prompt == engine.asked[1].prompt != engine.asked[2].prompt
    assert parts[0]["prompt_tokens"] == len(engine.asked[0].prompt) + len(engine.asked[2].prompt)
    assert parts[-1]["usage"]["completion_tokens"] == 8
    assert engine.closed


def test_of_each_prompt_the_first_sequence_tells_what_was_not_computed(vocabulary: Vocabulary) -> None:
    async def ask() -> Any:
        engine = ScriptedEngine([events_of([50, 51])])
        made = generator(vocabulary, engine)
        async with aclosing(await made.begin(made.job({"prompt": ["one", "two"], "n": 2}))) as parts:
            for stream, cached in zip(engine.streams, (1, 10, 2, 20), strict=True):
                stream.cached_tokens = cached
            found = [orjson.loads(part) async for part in parts]
        made.close()
        return found[-1]["usage"]["cached_tokens"]

    assert run(ask()) == 3


def test_a_text_goes_on_behind_its_prompt_and_a_chat_begins_anew(vocabulary: Vocabulary) -> None:
    echoed = run(parts_of(generator(vocabulary, ScriptedEngine([events_of([50])])), prompt="one", echo=True))
    assert echoed[1]["deltas"][0]["text"].startswith("one")
    chat = run(parts_of(generator(vocabulary, ScriptedEngine([events_of([50])])), messages=HELLO))
    assert not chat[1]["deltas"][0]["text"].startswith("one")


def test_no_room_is_told_and_nothing_stays_behind(vocabulary: Vocabulary) -> None:
    engine = ScriptedEngine([events_of([50])], room=2)
    with pytest.raises(RefusedJob, match="2 wait already") as caught:
        run(parts_of(generator(vocabulary, engine), prompt="one", n=3))
    assert (caught.value.status, caught.value.code) == (429, "queue_full")
    assert all(each.closed for each in engine.streams)


def test_what_would_never_fit_the_cache_is_refused(vocabulary: Vocabulary) -> None:
    class Small(ScriptedEngine):
        def submit(self, generation: Any) -> Any:
            raise ValueError("its cache takes 9 bytes, and all may take 8")

    with pytest.raises(RefusedJob, match="9 bytes") as caught:
        run(parts_of(generator(vocabulary, Small([])), prompt="one"))
    assert caught.value.code == "context_length_exceeded"


def test_a_grammar_is_the_mask_of_each_sequence_and_a_bad_one_is_refused_before_any(vocabulary: Vocabulary) -> None:
    def asked(schema: Any) -> ScriptedEngine:
        engine = ScriptedEngine([events_of([50])])
        run(
            parts_of(generator(vocabulary, engine), prompt="one", n=2, grammar={"kind": "json_schema", "value": schema})
        )
        return engine

    first, second = asked({"type": "object"}).asked
    assert first.mask is not None
    assert first.mask is second.mask
    with pytest.raises(RefusedJob, match="Invalid type: objekt"):
        asked({"type": "objekt"})
