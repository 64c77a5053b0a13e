"""Jobs through an engine: how many sequences, with what, and what becomes of those that find no room."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from adapters.generation import prompt_thread
from adapters.generation.chat_template import ChatTemplate
from adapters.generation.engine import Generation
from adapters.generation.generator import Generator
from adapters.generation.job import Chat, Job
from adapters.generation.prompts import Prompts, Rendered
from adapters.generation.reasoning_mask import AfterReasoning
from adapters.generation.reasoning_text import ThinkingMarks
from adapters.generation.refusal import RefusedJob
from adapters.generation.response_form import ResponseForm
from adapters.generation.template_reader import read_template
from adapters.generation.vocabulary import Vocabulary
from tests.adapters.generation.response_templates import CHANNELS, NAMED
from tests.adapters.generation.scripted_engine import ScriptedEngine, events_of

HELLO = [{"role": "user", "content": "hello"}]


def generator(vocabulary: Vocabulary, engine: ScriptedEngine, form: ResponseForm | None = None) -> Generator:
    tokenizer, form = vocabulary.tokenizer, form or ResponseForm()
    template = ChatTemplate(tokenizer, reads_calls=form.reads_calls)
    ends = frozenset({tokenizer.eos_token_id})
    return Generator(engine, Prompts(vocabulary, template, 256, ends, form=form))


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


def test_others_are_tokenized_between_the_many_prompts_of_one(
    vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    whole, both_asked = Prompts.generations, threading.Event()

    def generations(prompts: Prompts, job: Job, rendered: Rendered | None = None) -> list[Generation]:
        assert both_asked.wait(60)
        seen.extend(str(prompt) for prompt in job.prompts)
        return whole(prompts, job, rendered)

    async def ask() -> None:
        made = generator(vocabulary, ScriptedEngine([events_of([50])] * 4))
        jobs = made.job({"prompt": ["one", "two", "six"]}), made.job({"prompt": "another"})
        asked = [asyncio.create_task(made.begin(job)) for job in jobs]
        await asyncio.sleep(0)  # both have given the tokenizer's thread their first
        both_asked.set()
        for begun in await asyncio.gather(*asked):
            await begun.aclose()
        made.close()

    monkeypatch.setattr("adapters.generation.generator._AT_ONCE", 3)
    monkeypatch.setattr(Prompts, "generations", generations)
    run(ask())
    assert seen == ["one", "another", "two", "six"]


def test_no_chat_waits_for_the_template_of_a_large_one(vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, begun, may_end = ChatTemplate.render, threading.Event(), threading.Event()

    def render(template: ChatTemplate, chat: Chat) -> str:
        if chat.messages[0]["content"] == "large":
            begun.set()
            assert may_end.wait(60)
        return whole(template, chat)

    async def ask() -> None:
        made = generator(vocabulary, ScriptedEngine([events_of([50])] * 4))
        large = asyncio.create_task(made.begin(made.job({"messages": [{"role": "user", "content": "large"}]}), 10**6))
        await asyncio.to_thread(begun.wait, 60)
        monkeypatch.setattr(prompt_thread, "LONGEST", 0.0)
        assert made.usage().failed.startswith("its chat template has been at one prompt for")
        monkeypatch.setattr(prompt_thread, "_LONG", 0.0)
        assert made.usage().waiting == 1
        for asked in ({"messages": HELLO}, {"prompt": "one"}):
            await (await made.begin(made.job(asked), 100)).aclose()
        assert not large.done()
        may_end.set()
        await (await large).aclose()
        made.close()

    monkeypatch.setattr(ChatTemplate, "render", render)
    run(ask())


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


THINKS = ResponseForm(ThinkingMarks("<think>", "</think>"))
SCHEMA = {"kind": "json_schema", "value": {"type": "object"}}


def test_reasoning_of_a_chat_is_told_apart_and_counted_and_that_of_a_text_is_not(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode_rendered("<think>so</think>yes")
    engine = ScriptedEngine([events_of(ids)])
    parts = run(parts_of(generator(vocabulary, engine, THINKS), messages=HELLO, n=2))
    for delta in parts[1]["deltas"]:
        assert (delta["reasoning"], delta["text"], delta["finish"]) == ("so", "yes", "length")
    assert parts[-1]["usage"]["reasoning_tokens"] == 2 * (len(ids) - len(vocabulary.encode_rendered("yes")))
    whole = run(parts_of(generator(vocabulary, engine, THINKS), prompt="one"))
    assert whole[1]["deltas"][0]["text"] == "<think>so</think>yes"
    assert "reasoning_tokens" not in whole[-1]["usage"]


def test_a_grammar_begins_behind_the_reasoning_of_a_chat(vocabulary: Vocabulary) -> None:
    async def masks() -> list[Any]:
        engine = ScriptedEngine([events_of([50])])
        made = generator(vocabulary, engine, THINKS)
        for asked in ({"messages": HELLO}, {"prompt": "one"}):
            await (await made.begin(made.job({"grammar": SCHEMA, **asked}))).aclose()
        found = [each.mask() for each in engine.asked if each.mask is not None]
        made.close()
        return found

    assert [isinstance(each, AfterReasoning) for each in run(masks())] == [True, False]


@pytest.mark.parametrize(
    ("template", "asked", "told"),
    [
        (CHANNELS, {"grammar": {**SCHEMA, "field": "response_format"}}, "response_format.*response_template"),
        (NAMED, {"tool_choice": "required"}, "tool_choice: the model writes calls of tools in a form of its own"),
    ],
)
def test_forms_that_no_grammar_is_known_for_are_refused(
    vocabulary: Vocabulary, template: Any, asked: Any, told: str
) -> None:
    tokenizer = copy.copy(vocabulary.tokenizer)
    tokenizer.chat_template += "{% if tools %}{% endif %}"
    form = ResponseForm(template=read_template(template))
    asks = generator(Vocabulary(tokenizer, vocabulary.size), ScriptedEngine([]), form)
    tools = [{"type": "function", "function": {"name": "now"}}] if "tool_choice" in asked else None
    with pytest.raises(RefusedJob, match=told):
        run(parts_of(asks, messages=HELLO, tools=tools, **asked))
