"""The parts of a job: in order, joined where the reader is slow, ended by whoever closes them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from adapters.generation.answer_parts import GAP_BOUNDS, AnswerParts
from adapters.generation.engine import TokenEvent
from adapters.generation.sequence_text import SequenceText
from adapters.generation.vocabulary import Vocabulary
from tests.adapters.generation.scripted_engine import ScriptedStream, events_of

PATIENT = 600.0


def streams(
    vocabulary: Vocabulary, texts: Sequence[str], gate: asyncio.Semaphore | None = None
) -> list[ScriptedStream]:
    return [ScriptedStream(iter(events_of(vocabulary.encode_rendered(text))), gate) for text in texts]


def parts_of(
    vocabulary: Vocabulary, of: Sequence[ScriptedStream], stream: bool, patience: float = PATIENT
) -> AnswerParts:
    sequences = [(each, SequenceText(vocabulary)) for each in of]
    return AnswerParts(sequences, 7, stream=stream, patience=patience)


async def taken(parts: AnswerParts) -> list[dict[str, Any]]:
    try:
        return [orjson.loads(part) async for part in parts]
    finally:
        await parts.aclose()


@pytest.mark.parametrize("stream", [True, False])
def test_prompt_first_usage_last_and_every_text_whole(vocabulary: Vocabulary, stream: bool) -> None:
    async def run() -> list[dict[str, Any]]:
        return await taken(parts_of(vocabulary, streams(vocabulary, ["one two", "three 🤗"]), stream))

    first, *middle, last = asyncio.run(run())
    assert first == {"prompt_tokens": 7}
    made = sum(len(vocabulary.encode_rendered(text)) for text in ("one two", "three 🤗"))
    assert last["usage"] == {"prompt_tokens": 7, "completion_tokens": made, "cached_tokens": 0}
    deltas = [delta for part in middle for delta in part["deltas"]]
    for index, text in enumerate(("one two", "three 🤗")):
        mine = [delta for delta in deltas if delta["index"] == index]
        assert "".join(delta["text"] for delta in mine) == text
        assert [delta["finish"] for delta in mine] == [None] * (len(mine) - 1) + ["length"]
        assert stream or len(mine) == 1


def test_the_last_part_tells_how_fast_the_tokens_came(vocabulary: Vocabulary) -> None:
    ticks = iter(range(100))

    async def run(text: str) -> dict[str, Any]:
        sequences = [(each, SequenceText(vocabulary)) for each in streams(vocabulary, [text])]
        return (await taken(AnswerParts(sequences, 7, stream=False, patience=PATIENT, clock=lambda: next(ticks))))[-1]

    last = asyncio.run(run("one two"))
    assert last["usage"]["completion_tokens"] > 2
    made = last["usage"]["completion_tokens"]
    assert last["seconds"] == {"first_token": 1, "per_token": 1, "whole": made + 1}
    counts, total = last["gaps"]
    assert total == made - 1
    assert counts[GAP_BOUNDS.index(1.0)] == sum(counts) == made - 1
    assert last["finished"] == {"length": 1}
    (lonely,) = {len(vocabulary.encode_rendered(text)) for text in ("a",)}
    assert lonely == 1
    assert asyncio.run(run("a"))["seconds"] == {"first_token": 1, "whole": 2}


def test_parts_come_as_tokens_do(vocabulary: Vocabulary) -> None:
    async def run() -> None:
        gate = asyncio.Semaphore(0)
        parts = parts_of(vocabulary, streams(vocabulary, ["abc"], gate), stream=True)
        assert orjson.loads(await anext(parts)) == {"prompt_tokens": 7}
        for letter in "abc":
            gate.release()
            (delta,) = orjson.loads(await anext(parts))["deltas"]
            assert delta["text"] == letter
        await parts.aclose()

    asyncio.run(run())


def test_while_nothing_comes_a_part_says_so(vocabulary: Vocabulary) -> None:
    async def run() -> None:
        gate = asyncio.Semaphore(0)
        parts = parts_of(vocabulary, streams(vocabulary, ["a"], gate), stream=True, patience=0.001)
        await anext(parts)
        assert await anext(parts) == b"{}"
        await parts.aclose()

    asyncio.run(run())


def test_whoever_closes_them_ends_the_work(vocabulary: Vocabulary) -> None:
    async def run() -> None:
        made = streams(vocabulary, ["abc", "def"], asyncio.Semaphore(0))
        parts = parts_of(vocabulary, made, stream=True)
        await anext(parts)
        await parts.aclose()
        assert all(each.closed for each in made)
        with pytest.raises(StopAsyncIteration):
            await anext(parts)

    asyncio.run(run())


def test_closed_before_anything_ran_they_close_their_streams(vocabulary: Vocabulary) -> None:
    async def run() -> None:
        made = streams(vocabulary, ["abc"])
        await parts_of(vocabulary, made, stream=False).aclose()
        assert all(each.closed for each in made)

    asyncio.run(run())


def test_a_failure_of_the_engine_is_raised_once(vocabulary: Vocabulary) -> None:
    async def run() -> None:
        events: list[TokenEvent | Exception] = [RuntimeError("out of memory")]
        parts = parts_of(vocabulary, [ScriptedStream(iter(events))], stream=True)
        await anext(parts)
        with pytest.raises(RuntimeError, match="out of memory"):
            await anext(parts)
        with pytest.raises(StopAsyncIteration):
            await anext(parts)
        await parts.aclose()

    asyncio.run(run())


def test_a_stream_without_tokens_ends_by_length(vocabulary: Vocabulary) -> None:
    async def run() -> list[dict[str, Any]]:
        return await taken(parts_of(vocabulary, [ScriptedStream(iter([]))], stream=True))

    _, part, usage = asyncio.run(run())
    assert part["deltas"][0]["finish"] == "length"
    assert usage["usage"]["completion_tokens"] == 0
