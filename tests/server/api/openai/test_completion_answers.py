"""What an answer to a prompt looks like."""

from __future__ import annotations

from typing import Any

from server.api.openai.completion_answers import CompletionShape
from server.api.openai.text_answers import MadeText


def shape(alternatives: int | None = 1) -> CompletionShape:
    return CompletionShape("cmpl-1", 7, "m", 1, alternatives)


def token(text: str, logprob: float | None, offset: int, *top: tuple[str, float]) -> dict[str, Any]:
    return {
        "token": text,
        "logprob": logprob,
        "offset": offset,
        "top": [{"token": name, "logprob": value} for name, value in top],
    }


def test_whole_with_logprobs() -> None:
    tokens = [token("one", None, 0), token(" two", -2.0, 3, (" 2", -1.0))]
    (choice,) = shape().complete([MadeText("one two", tokens, "length")])["choices"]
    assert choice == {
        "index": 0,
        "text": "one two",
        "finish_reason": "length",
        "logprobs": {
            "tokens": ["one", " two"],
            "token_logprobs": [None, -2.0],
            "top_logprobs": [None, {" 2": -1.0, " two": -2.0}],
            "text_offset": [0, 3],
        },
    }


def test_tokens_of_one_text_are_told_by_the_likeliest() -> None:
    tokens = [token("\ufffd", -3.0, 0, ("\ufffd", -1.0), ("\ufffd", -2.0))]
    (choice,) = shape().complete([MadeText("\ufffd", tokens, "stop")])["choices"]
    assert choice["logprobs"]["top_logprobs"] == [{"\ufffd": -1.0}]


def test_without_logprobs() -> None:
    (choice,) = shape(None).complete([MadeText("a", [], "stop")])["choices"]
    assert choice["logprobs"] is None
    (choice,) = shape(0).complete([MadeText("a", [token("a", -1.0, 0)], "stop")])["choices"]
    assert choice["logprobs"]["top_logprobs"] is None


def test_chunks() -> None:
    assert list(shape().opening()) == []
    text, end = shape().chunks(0, {"text": "a", "tokens": [], "finish": "stop"})
    assert (text["choices"][0]["text"], text["choices"][0]["finish_reason"]) == ("a", None)
    assert (end["choices"][0]["text"], end["choices"][0]["finish_reason"]) == ("", "stop")
    assert shape().closing() == {"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "m", "choices": []}
