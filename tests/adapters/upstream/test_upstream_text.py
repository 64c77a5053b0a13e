"""Chunks to deltas: calls are kept until they are whole, and an end is one that says why."""

from __future__ import annotations

import pytest

from adapters.base import StreamFailed
from adapters.generation.tool_calls import ToolCall
from adapters.upstream.upstream_events import CallPiece, ProgramEvent
from adapters.upstream.upstream_text import UpstreamText

CALLS = [CallPiece(0, "f", '{"a":'), CallPiece(1, "g", ""), CallPiece(0, "", " 1}")]


@pytest.mark.parametrize("parallel", [True, False])
def test_calls(parallel: bool) -> None:
    text = UpstreamText("vllm", parallel_calls=parallel)
    assert text.push(ProgramEvent(calls=CALLS)).calls == ()
    text.push(ProgramEvent(finish="stop"))
    last = text.end()
    assert last.finish == "tool_calls"
    assert last.calls == [ToolCall("f", '{"a": 1}'), ToolCall("g", "{}")][: 2 if parallel else 1]


TOOLS = [{"type": "function", "function": {"name": "f"}}]


def told(text: UpstreamText, *pieces: str, finish: str = "stop") -> tuple[str, str | None, list[ToolCall]]:
    before = "".join(text.push(ProgramEvent(piece)).text for piece in pieces)
    text.push(ProgramEvent(finish=finish))
    last = text.end()
    return before + last.text, last.finish, list(last.calls)


def test_calls_that_a_program_left_in_the_text_are_read() -> None:
    """As llama-server leaves them where it does not know how the template has them written."""
    pieces = ("so", ' <tool_call>{"name": "f", ', '"arguments": {}}</tool', "_call>")
    assert told(UpstreamText("it", tools=TOOLS), *pieces) == ("so", "tool_calls", [ToolCall("f", "{}")])
    assert told(UpstreamText("it", tools=TOOLS), "a <tool_call", finish="length") == ("a <tool_call", "length", [])
    assert told(UpstreamText("it"), *pieces)[:2] == ("".join(pieces), "stop")


def test_an_answer_of_calls_alone_is_told_once_it_is_whole() -> None:
    pieces = ('[{"name": "f",', ' "arguments": {"a": 1}}', ', {"name": "f", "arguments": {}}]')
    both = [ToolCall("f", '{"a": 1}'), ToolCall("f", "{}")]
    assert told(UpstreamText("it", tools=TOOLS, as_json=True), *pieces) == ("", "tool_calls", both)
    assert told(UpstreamText("it", as_json=True, parallel_calls=False), *pieces) == ("", "tool_calls", both[:1])
    cut = told(UpstreamText("it", tools=TOOLS, as_json=True), pieces[0], finish="length")
    assert cut == (pieces[0], "length", [])


def test_tokens_know_where_their_text_begins() -> None:
    text = UpstreamText("vllm")
    text.push(ProgramEvent("ab", [{"token": "ab"}]))
    (token,) = text.push(ProgramEvent("c", [{"token": "c"}])).tokens
    assert token["offset"] == 2


def test_tokens_are_the_program_s_count_or_else_its_chunks() -> None:
    text = UpstreamText("vllm")
    text.push(ProgramEvent("a"))
    assert (text.generated, text.prompt_tokens, text.cached_tokens) == (1, 0, 0)
    details = {"prompt_tokens_details": {"cached_tokens": 2}}
    text.push(ProgramEvent(usage={"completion_tokens": 5, "prompt_tokens": 3, **details}))
    assert (text.generated, text.prompt_tokens, text.cached_tokens) == (5, 3, 2)
    text.push(ProgramEvent(usage={"completion_tokens": -5, "prompt_tokens": "3", "prompt_tokens_details": None}))
    assert (text.generated, text.prompt_tokens, text.cached_tokens) == (1, 0, 0)


@pytest.mark.parametrize(("finish", "told"), [(None, "without a reason"), ("abort", "with the reason 'abort'")])
def test_an_end_that_is_none(finish: str | None, told: str) -> None:
    text = UpstreamText("vllm")
    text.push(ProgramEvent("a", finish=finish))
    with pytest.raises(StreamFailed, match=f"vllm failed at this request: its answer ended {told}"):
        text.end()


def test_reasoning_is_handed_on_and_counted() -> None:
    text = UpstreamText("vllm")
    delta = text.push(ProgramEvent(reasoning="so", tokens=[{"token": "so"}]))
    assert (delta.reasoning, delta.text, delta.tokens[0]["thought"]) == ("so", "", True)
    assert "thought" not in text.push(ProgramEvent("yes", [{"token": "yes"}])).tokens[0]
    assert text.reasoned == 1
    text.push(ProgramEvent(usage={"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 3}}))
    assert text.reasoned == 3
    assert UpstreamText("vllm").reasoned is None
