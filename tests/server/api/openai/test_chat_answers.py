"""What an answer to a chat looks like."""

from __future__ import annotations

from server.api.openai.chat_answers import ChatShape
from server.api.openai.text_answers import MadeText

TOKEN = {
    "token": "a",
    "bytes": [97],
    "logprob": -0.5,
    "top": [{"token": "b", "bytes": [98], "logprob": -0.4}],
    "offset": 0,
}


def shape(logprobs: bool = True) -> ChatShape:
    return ChatShape("chatcmpl-1", 7, "m", 2, logprobs)


def test_whole() -> None:
    document = shape().complete([MadeText("a", [TOKEN], "stop"), MadeText("", [], "length")])
    assert {name: document[name] for name in ("id", "object", "created", "model")} == {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m",
    }  # fmt: skip
    first, second = document["choices"]
    assert first["message"] == {"role": "assistant", "content": "a", "refusal": None}
    (told,) = first["logprobs"]["content"]
    assert told == {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": TOKEN["top"]}
    assert (second["index"], second["finish_reason"]) == (1, "length")
    assert shape(logprobs=False).complete([MadeText("a", [], "stop")])["choices"][0]["logprobs"] is None


def test_each_choice_begins_with_who_speaks() -> None:
    opening = [chunk["choices"][0] for chunk in shape().opening()]
    assert [choice["index"] for choice in opening] == [0, 1]
    assert all(choice["delta"]["role"] == "assistant" and choice["finish_reason"] is None for choice in opening)


def test_the_reason_why_it_ended_comes_by_itself() -> None:
    text, end = shape().chunks(1, {"text": "a", "tokens": [TOKEN], "finish": "stop"})
    assert text["object"] == "chat.completion.chunk"
    assert (text["choices"][0]["delta"], text["choices"][0]["finish_reason"]) == ({"content": "a"}, None)
    assert (end["choices"][0]["delta"], end["choices"][0]["finish_reason"]) == ({}, "stop")
    assert shape().closing()["choices"] == []


CALL = {"name": "weather", "arguments": '{"city": "Paris"}'}


def test_calls_of_tools() -> None:
    document = shape(logprobs=False).complete([MadeText("", [], "tool_calls", [CALL, CALL])])
    (choice,) = document["choices"]
    assert choice["message"]["content"] is None
    first, second = choice["message"]["tool_calls"]
    assert first["function"] == CALL
    assert first["id"] != second["id"]


def test_streamed_calls_join_to_what_was_called() -> None:
    made = shape(logprobs=False)
    chunks = [
        *made.chunks(0, {"text": "", "tokens": [], "finish": None, "calls": [CALL]}),
        *made.chunks(0, {"text": "", "tokens": [], "finish": "tool_calls", "calls": [CALL]}),
    ]
    *deltas, end = [chunk["choices"][0] for chunk in chunks]
    sent = [choice["delta"]["tool_calls"][0] for choice in deltas]
    assert [each["index"] for each in sent] == [0, 0, 1, 1]
    assert [each["function"].get("name") for each in sent] == ["weather", None, "weather", None]
    assert sent[0]["function"]["arguments"] == ""
    assert sent[0]["function"]["arguments"] + sent[1]["function"]["arguments"] == CALL["arguments"]
    assert "id" in sent[0]
    assert "id" not in sent[1]
    assert (end["delta"], end["finish_reason"]) == ({}, "tool_calls")


THOUGHT = {**TOKEN, "thought": True}


def test_reasoning_of_a_whole_answer() -> None:
    both, cut = shape().complete([MadeText("a", [THOUGHT, TOKEN], "stop", reasoning="so"), MadeText(reasoning="so")])[
        "choices"
    ]
    assert both["message"] == {"role": "assistant", "content": "a", "refusal": None, "reasoning_content": "so"}
    assert len(both["logprobs"]["content"]) == 2
    assert (cut["message"]["content"], cut["message"]["reasoning_content"]) == (None, "so")


def test_reasoning_in_chunks_comes_before_the_text() -> None:
    both = {"reasoning": "so", "text": "a", "tokens": [THOUGHT, TOKEN, TOKEN], "finish": "stop"}
    first, second, end = (chunk["choices"][0] for chunk in shape().chunks(0, both))
    assert (first["delta"], len(first["logprobs"]["content"])) == ({"reasoning_content": "so"}, 1)
    assert (second["delta"], len(second["logprobs"]["content"])) == ({"content": "a"}, 2)
    assert end["finish_reason"] == "stop"


def test_reasoning_may_be_left_out() -> None:
    silent = ChatShape("chatcmpl-1", 7, "m", 1, True, reasoning=False)
    (choice,) = silent.complete([MadeText("a", [THOUGHT, TOKEN], "stop", reasoning="so")])["choices"]
    assert choice["message"] == {"role": "assistant", "content": "a", "refusal": None}
    assert len(choice["logprobs"]["content"]) == 1
    assert [*silent.chunks(0, {"reasoning": "so", "text": "", "tokens": [THOUGHT], "finish": None})] == []
