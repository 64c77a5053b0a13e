"""Whole answers and chunks of generated parts, whatever their shape."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from server.api.openai.chat_answers import ChatShape
from server.api.openai.text_answers import ChunkStream, whole_answer
from server.api.rest.event_stream import KEEP_ALIVE
from server.errors import ModelFailed
from server.inference.generated_parts import GeneratedParts
from server.inference.request import never_disconnected
from tests.server.generating import ListedParts, delta, parts_of


def shape(count: int = 1) -> ChatShape:
    return ChatShape("chatcmpl-1", 7, "m", count, logprobs=False)


def streamed(*parts: dict[str, Any] | Exception, wants_usage: bool = False) -> list[bytes]:
    async def run() -> list[bytes]:
        source = ListedParts(parts)
        stream = ChunkStream(GeneratedParts(source, never_disconnected), shape(), wants_usage=wants_usage)
        try:
            return [part async for part in stream.answer().parts]
        finally:
            await stream.aclose()
            assert source.closed

    return asyncio.run(run())


def test_a_whole_answer() -> None:
    source = ListedParts(parts_of("a", "b"))
    answer = asyncio.run(whole_answer(GeneratedParts(source, never_disconnected), shape(2)))
    document = orjson.loads(answer.body)
    assert [choice["message"]["content"] for choice in document["choices"]] == ["a", "b"]
    counts = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert document["usage"] == {**counts, "prompt_tokens_details": {"cached_tokens": 0}}
    assert source.closed


def test_a_failure_closes_the_parts() -> None:
    source = ListedParts([{"prompt_tokens": 1}, ModelFailed("no")])
    with pytest.raises(ModelFailed):
        asyncio.run(whole_answer(GeneratedParts(source, never_disconnected), shape()))
    assert source.closed


def test_chunks_and_the_word_that_they_are_over() -> None:
    *chunks, done = streamed(*parts_of("a"))
    assert done == b"[DONE]"
    choices = [orjson.loads(chunk)["choices"][0] for chunk in chunks]
    assert [choice["delta"] for choice in choices] == [{"role": "assistant", "content": ""}, {"content": "a"}, {}]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]


def test_the_usage_comes_by_itself_where_it_is_asked_for() -> None:
    *chunks, last, _ = streamed(*parts_of("a"), wants_usage=True)
    assert all(orjson.loads(chunk)["usage"] is None for chunk in chunks)
    assert orjson.loads(last)["choices"] == []
    assert orjson.loads(last)["usage"]["total_tokens"] == 5


def test_over_an_error_it_says_done_as_well() -> None:
    *_, error, done = streamed({"prompt_tokens": 1}, delta(0, "a"), ModelFailed("out of memory"))
    assert orjson.loads(error)["error"]["message"] == "out of memory"
    assert done == b"[DONE]"
    *_, error, _ = streamed(RuntimeError("oh"))
    assert orjson.loads(error)["error"]["type"] == "server_error"


def test_while_nothing_comes_the_connection_is_kept() -> None:
    assert any(part is KEEP_ALIVE for part in streamed({"prompt_tokens": 1}, {}, delta(0, "a", "stop")))
