"""Responses in events: their order, their numbers, and how they end."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from server.api.openai.response_answers import ResponseShape
from server.api.openai.response_fields import ResponseRequest
from server.api.openai.response_stream import ResponseStream
from server.api.rest.event_stream import KEEP_ALIVE, NamedEvent
from server.errors import InvalidInput, ModelFailed
from server.inference.generated_parts import GeneratedParts
from server.inference.request import never_disconnected
from tests.server.generating import ListedParts, delta

USAGE = {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}
CALL = {"deltas": [{"index": 0, "text": "", "tokens": [], "finish": None, "calls": [{"name": "f", "arguments": "{}"}]}]}


def streamed(*parts: dict[str, Any] | Exception) -> list[bytes]:
    async def run() -> list[bytes]:
        source = ListedParts(parts)
        shape = ResponseShape("resp_1", 7, ResponseRequest(model="m", input="hello"))
        stream = ResponseStream(GeneratedParts(source, never_disconnected), shape)
        try:
            return [part async for part in stream.answer().parts]
        finally:
            await stream.aclose()
            assert source.closed

    return asyncio.run(run())


def events(*parts: dict[str, Any] | Exception) -> list[dict[str, Any]]:
    found = streamed(*parts)
    documents = [orjson.loads(bytes(part)) for part in found]
    assert [part.name for part in found if isinstance(part, NamedEvent)] == [each["type"] for each in documents]
    assert [each["sequence_number"] for each in documents] == list(range(len(documents)))
    return documents


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [each["type"].removeprefix("response.") for each in found]


MESSAGE = ["output_text.done", "content_part.done", "output_item.done"]


def test_a_text() -> None:
    found = events({"prompt_tokens": 3}, delta(0, "a"), delta(0, "b"), delta(0, "", "stop"), USAGE)
    begin = ["created", "in_progress", "output_item.added", "content_part.added"]
    assert kinds(found) == [*begin, "output_text.delta", "output_text.delta", *MESSAGE, "completed"]
    last = found[-1]["response"]
    assert last["output"][0]["content"][0]["text"] == "ab"
    assert last["usage"]["total_tokens"] == 5
    assert len({each["item_id"] for each in found if "item_id" in each}) == 1


def test_a_text_before_and_behind_a_call() -> None:
    found = events({"prompt_tokens": 3}, delta(0, "a"), CALL, delta(0, "b"), delta(0, "", "tool_calls"), USAGE)
    output = found[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "message"]
    assert [item["content"][0]["text"] for item in output if item["type"] == "message"] == ["a", "b"]
    assert [each["output_index"] for each in found if each["type"] == "response.output_item.done"] == [0, 1, 2]
    added = next(
        each["item"] for each in found if each["type"] == "response.output_item.added" and each["output_index"]
    )
    assert (added["arguments"], added["status"]) == ("", "in_progress")


def test_nothing_is_an_empty_text_and_a_short_one_is_incomplete() -> None:
    found = events({"prompt_tokens": 3}, delta(0, "", "length"), USAGE)
    assert kinds(found)[2:] == ["output_item.added", "content_part.added", *MESSAGE, "incomplete"]
    assert found[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_failure_is_the_last_event() -> None:
    for error, code in ((ModelFailed("no memory"), "server_error"), (InvalidInput("no"), "invalid_prompt")):
        found = events({"prompt_tokens": 3}, delta(0, "a"), error)
        assert kinds(found)[-1] == "failed"
        assert found[-1]["response"]["status"] == "failed"
        assert found[-1]["response"]["error"] == {"code": code, "message": str(error)}


def test_a_part_without_news_keeps_the_connection() -> None:
    assert KEEP_ALIVE in streamed({"prompt_tokens": 3}, {}, delta(0, "a", "stop"), USAGE)


def thought(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"deltas": [{"index": 0, "text": "", "reasoning": text, "tokens": [], "finish": finish}]}


REASONING = ["reasoning_text.done", "content_part.done", "output_item.done"]


def test_reasoning_is_an_item_of_its_own() -> None:
    found = events({"prompt_tokens": 3}, thought("a"), thought("b"), delta(0, "c"), delta(0, "", "stop"), USAGE)
    begin = ["output_item.added", "content_part.added"]
    deltas = ["reasoning_text.delta"] * 2
    assert kinds(found)[2:] == [*begin, *deltas, *REASONING, *begin, "output_text.delta", *MESSAGE, "completed"]
    first, second = found[-1]["response"]["output"]
    assert (first["content"], first["status"]) == ([{"type": "reasoning_text", "text": "ab"}], "completed")
    assert second["content"][0]["text"] == "c"
    assert [each["output_index"] for each in found if each["type"] == "response.output_item.done"] == [0, 1]


def test_one_that_is_cut_is_incomplete_and_there_is_no_message() -> None:
    found = events({"prompt_tokens": 3}, thought("a", "length"), USAGE)
    assert kinds(found)[-4:] == [*REASONING, "incomplete"]
    (item,) = found[-1]["response"]["output"]
    assert item["status"] == "incomplete"


def test_reasoning_before_a_call_and_behind_a_text() -> None:
    found = events({"prompt_tokens": 3}, delta(0, "a"), thought("b"), CALL, delta(0, "", "tool_calls"), USAGE)
    assert [item["type"] for item in found[-1]["response"]["output"]] == ["message", "reasoning", "function_call"]
