"""What one sequence sends, token by token: text, the tokens it is of, and why it ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from adapters.generation.engine import Finish, TokenEvent
from adapters.generation.reasoning_text import ReasoningReader, Stage, ThinkingMarks
from adapters.generation.response_form import ResponseForm
from adapters.generation.sequence_text import SequenceText, TextDelta
from adapters.generation.tool_calls import ToolCall, ToolCallReader
from adapters.generation.vocabulary import Vocabulary
from tests.adapters.generation.response_templates import CHATML
from tests.adapters.generation.scripted_engine import events_of


def deltas(vocabulary: Vocabulary, text: SequenceText, written: str, finish: Finish = Finish.LENGTH) -> list[TextDelta]:
    """Those of a text's tokens; behind a stop the end of sequence comes."""
    ids = vocabulary.encode_rendered(written)
    if finish is Finish.STOP:
        ids = [*ids, vocabulary.tokenizer.eos_token_id]
    return [text.push(event) for event in events_of(ids, finish)]


def test_text_and_the_end(vocabulary: Vocabulary) -> None:
    text = SequenceText(vocabulary)
    found = deltas(vocabulary, text, "one two!", Finish.STOP)
    assert "".join(each.text for each in found) == "one two!"
    assert [each.finish for each in found] == [None] * (len(found) - 1) + [Finish.STOP]
    assert text.generated == len(found)


def test_what_is_held_back_comes_when_the_budget_ends(vocabulary: Vocabulary) -> None:
    text = SequenceText(vocabulary, ["!!!"])
    found = deltas(vocabulary, text, "one!!")
    assert [each.text for each in found][-1].endswith("!!")
    assert found[-1].finish is Finish.LENGTH


def test_a_stop_string_ends_it_before_the_engine_does(vocabulary: Vocabulary) -> None:
    text = SequenceText(vocabulary, ["wo"], told=True)
    found = []
    for event in events_of(vocabulary.encode_rendered("one two three")):
        found.append(text.push(event))
        if text.finish:
            break
    assert text.finish is Finish.STOP
    assert "".join(each.text for each in found) == "one t"
    told = [token for each in found for token in each.tokens]
    assert all(token["offset"] < len("one t") for token in told)


def test_tokens_come_with_the_text_that_they_begin(vocabulary: Vocabulary) -> None:
    text = SequenceText(vocabulary, ["xyz"], told=True)
    for delta in deltas(vocabulary, text, "a🤗bxy", Finish.STOP):
        joined = b"".join(bytes(token["bytes"]) for token in delta.tokens)
        assert joined.decode() == delta.text


def test_offsets_are_places_in_the_text(vocabulary: Vocabulary) -> None:
    found = deltas(vocabulary, SequenceText(vocabulary, told=True), "one two 🤗 three")
    text = "".join(each.text for each in found)
    for token in (token for each in found for token in each.tokens):
        if "\ufffd" not in token["token"]:
            assert text[token["offset"] :].startswith(token["token"])


def test_an_echo_comes_first(vocabulary: Vocabulary) -> None:
    text = SequenceText(vocabulary, ["one"], before=vocabulary.encode("one"), echo=True)
    found = deltas(vocabulary, text, " two")
    assert "".join(each.text for each in found) == "one two"  # a stop string counts in the answer alone


def test_an_echo_with_logprobs(vocabulary: Vocabulary) -> None:
    text = SequenceText(vocabulary, told=True, echo=True)
    first, *others = vocabulary.encode("one two")
    prompt = [TokenEvent(first, in_prompt=True), *(TokenEvent(each, -2.0, in_prompt=True) for each in others)]
    found = [*map(text.push, prompt), text.end()]
    assert "".join(each.text for each in found) == "one two"
    told = [token for each in found for token in each.tokens]
    assert [token["logprob"] for token in told] == [None, *[-2.0] * len(others)]
    assert found[-1].finish is Finish.LENGTH
    assert text.generated == 0


def test_infinities_become_numbers(vocabulary: Vocabulary) -> None:
    text = SequenceText(vocabulary, told=True)
    event = TokenEvent(50, -float("inf"), ((51, -float("inf")),), finish=Finish.LENGTH)
    (token,) = text.push(event).tokens
    assert (token["logprob"], token["top"][0]["logprob"]) == (-9999.0, -9999.0)


def test_calls_of_tools_leave_the_text(vocabulary: Vocabulary) -> None:
    tools = [{"type": "function", "function": {"name": "now"}}]
    written = 'one <tool_call>{"name": "now", "arguments": {}}</tool_call>'
    text = SequenceText(vocabulary, tools=ToolCallReader(tools))
    found = deltas(vocabulary, text, written, Finish.STOP)
    assert "".join(each.text for each in found) == "one"
    assert [call for each in found for call in each.calls] == [ToolCall("now", "{}")]
    assert found[-1].finish == "tool_calls"


def test_a_call_that_is_cut_ends_by_length_and_stays_text(vocabulary: Vocabulary) -> None:
    text = SequenceText(vocabulary, tools=ToolCallReader([]))
    found = deltas(vocabulary, text, 'one <tool_call>{"na')
    assert "".join(each.text for each in found) == 'one <tool_call>{"na'
    assert found[-1].finish == "length"


def test_without_parallel_calls_the_first_one_ends_it(vocabulary: Vocabulary) -> None:
    call = '<tool_call>{"name": "now"}</tool_call>'
    text = SequenceText(vocabulary, tools=ToolCallReader([{"function": {"name": "now"}}]), parallel_calls=False)
    found = []
    for event in events_of(vocabulary.encode_rendered(f"so {call} and {call}")):
        found.append(text.push(event))
        if text.finish:
            break
    assert (text.finish, found[-1].finish) == (Finish.STOP, "tool_calls")
    assert "".join(each.text for each in found) == "so"
    assert [call for each in found for call in each.calls] == [ToolCall("now", "{}")]


THINKS = ThinkingMarks("<think>", "</think>")


def thinking(vocabulary: Vocabulary, stops: list[str], **options: Any) -> SequenceText:
    return SequenceText(vocabulary, stops, reader=ReasoningReader(THINKS, Stage.BEGINNING), **options)


def test_reasoning_comes_by_itself_and_stop_strings_count_behind_it(vocabulary: Vocabulary) -> None:
    text = thinking(vocabulary, ["wo"])
    found = []
    for event in events_of(vocabulary.encode_rendered("<think>two</think>\n\none two three")):
        found.append(text.push(event))
        if text.finish:
            break
    assert "".join(each.reasoning for each in found) == "two"
    assert "".join(each.text for each in found) == "one t"
    assert text.finish is Finish.STOP
    assert text.reasoned == len(vocabulary.encode_rendered("<think>two</think>"))


def test_a_text_that_ends_within_the_reasoning(vocabulary: Vocabulary) -> None:
    found = deltas(vocabulary, text := thinking(vocabulary, []), "<think>one two </thi")
    assert "".join(each.reasoning for each in found) == "one two </thi"
    assert {each.text for each in found} == {""}
    assert (found[-1].finish, text.finish) == ("length", "length")


def test_tokens_say_that_they_are_reasoning_and_all_are_told(vocabulary: Vocabulary) -> None:
    written = "<think>one</think> two"
    found = deltas(vocabulary, thinking(vocabulary, ["x"], told=True), written)
    told = [token for each in found for token in each.tokens]
    assert b"".join(bytes(token["bytes"]) for token in told).decode() == written
    answer = b"".join(bytes(token["bytes"]) for token in told if not token.get("thought"))
    assert answer.decode().strip() == "two"


def test_the_reader_gets_special_tokens_that_are_not_hidden(vocabulary: Vocabulary) -> None:
    form = ResponseForm.of(SimpleNamespace(response_template=CHATML))
    tools = [{"type": "function", "function": {"name": "now"}}]
    text = SequenceText(vocabulary, reader=form.reader("", tools), hidden=form.hidden(vocabulary))
    called = '<tool_call>{"name": "now", "arguments": {}}</tool_call>'
    found = deltas(vocabulary, text, f"<think>so</think>yes {called}<|end|><|end|>", Finish.STOP)
    assert ("".join(each.reasoning for each in found), "".join(each.text for each in found)) == ("so", "yes")
    assert [call for each in found for call in each.calls] == [ToolCall("now", "{}")]
    assert found[-1].finish == "tool_calls"


def test_without_a_reader_nobody_counts_reasoning(vocabulary: Vocabulary) -> None:
    assert SequenceText(vocabulary).reasoned is None
