"""Chunks as programs send them, and what is none."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from adapters.upstream.socket_http import BrokenAnswer
from adapters.upstream.upstream_events import CallPiece, ProgramEvent, event_of, message_of_error


def event(**document: Any) -> ProgramEvent:
    return event_of(orjson.dumps(document), "m")


def test_a_chat_s_chunk_and_a_completion_s() -> None:
    chat = event(choices=[{"delta": {"content": "hi"}, "finish_reason": None}], model="m")
    assert (chat.text, chat.finish, chat.in_prompt) == ("hi", None, False)
    assert event(choices=[{"text": "hi", "finish_reason": "stop"}]).finish == "stop"
    assert event(choices=[{"delta": {"role": "assistant"}}]).in_prompt
    assert event(choices=[], usage={"prompt_tokens": 1}).usage == {"prompt_tokens": 1}


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_by_either_name(name: str) -> None:
    found = event(choices=[{"delta": {name: "so", "content": None}}])
    assert (found.reasoning, found.text, found.in_prompt) == ("so", "", False)
    with pytest.raises(BrokenAnswer):
        event(choices=[{"delta": {name: 5}}])


def test_pieces_of_calls() -> None:
    calls = [{"index": 1, "function": {"name": "f"}}, {"index": 1, "function": {"arguments": "{}"}}]
    assert event(choices=[{"delta": {"tool_calls": calls}}]).calls == [CallPiece(1, "f", ""), CallPiece(1, "", "{}")]


def test_logprobs_in_both_forms() -> None:
    own = {"token": "a", "bytes": [97], "logprob": -1.0}
    expected = [{**own, "top": [{"token": "b", "bytes": [98], "logprob": -2.0}]}]
    content = [{"token": "a", "logprob": -1, "bytes": None, "top_logprobs": [{"token": "b", "logprob": -2}]}]
    columns = {"tokens": ["a"], "token_logprobs": [-1], "top_logprobs": [{"b": -2}], "text_offset": [0]}
    assert event(choices=[{"text": "a", "logprobs": {"content": content}}]).tokens == expected
    assert event(choices=[{"text": "a", "logprobs": columns}]).tokens == expected


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"{", "no JSON"),
        (b"[]", "no chunk"),
        (b'{"choices": 3}', "no chunk"),
        (b'{"choices": [[]]}', "no chunk"),
        (b'{"choices": [{"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": []}}]}', "no chunk"),
        (b'{"usage": [1]}', "no chunk"),
        (b'{"error": {"message": "broken"}}', "it says: broken"),
        (b'{"model": "n", "choices": []}', "for the model 'n', and was asked for 'm'"),
    ],
    ids=range(8),
)
def test_what_is_no_chunk(data: bytes, told: str) -> None:
    with pytest.raises(BrokenAnswer, match=told):
        event_of(data, "m")


def test_what_an_error_says() -> None:
    assert message_of_error({"error": {"message": "a"}}) == "a"
    assert message_of_error({"error": "b"}) == "b"
    assert message_of_error({"detail": "c"}) == "None"
    assert message_of_error("<html>") == "<html>"
