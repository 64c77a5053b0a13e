"""Answers read by a tokenizer's response_template: wherever they are cut, and whatever is wrong with them."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest

from adapters.base import LoadError
from adapters.generation.reasoning_text import AnswerPiece, Stage
from adapters.generation.template_reader import TemplateReader, read_template
from adapters.generation.tool_calls import ToolCall
from tests.adapters.generation.response_templates import CHANNELS, CHATML, NAMED
from tests.adapters.generation.test_reasoning_text import read, splits

TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {"days": {"type": "integer"}}}},
    }
]
CALL = '<tool_call>{"name": "weather", "arguments": {"days": "3"}}</tool_call>'
CALLED = ToolCall("weather", '{"days": 3}')


@pytest.mark.parametrize(
    ("template", "prompt", "written", "expected"),
    [
        (CHATML, "", "<think>\nSo.\n</think>\n\nHello.\n", AnswerPiece("So.", "Hello.", [])),
        (CHATML, "<|start|>assistant\n<think>\n", "So.</think>Hello<|end|>", AnswerPiece("So.", "Hello", [])),
        (CHATML, "<|start|>assistant\n<think>\n\n</think>\n\n", "Hello", AnswerPiece("", "Hello", [])),
        (CHATML, "", f"<think>So</think>\nI ask.\n{CALL}\n{CALL}", AnswerPiece("So", "I ask.", [CALLED, CALLED])),
        (NAMED, "", "<|tool_call>call:weather{days:3}<tool_call|>", AnswerPiece("", "", [CALLED])),
        (NAMED, "", "<|channel>thought\nSo\n<channel|>Hello<turn|>", AnswerPiece("So", "Hello", [])),
        (
            CHANNELS,
            "",
            "<|channel|>analysis<|message|>So<|end|><|start|>assistant<|channel|>final<|message|>Hi",
            AnswerPiece("So", "Hi", []),
        ),
        (
            CHANNELS,
            "",
            '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"days": "3"}',
            AnswerPiece("", "", [CALLED]),
        ),
    ],
)
def test_however_it_is_cut(template: Any, prompt: str, written: str, expected: AnswerPiece) -> None:
    form = read_template(template)
    for pieces in splits(written):
        assert read(TemplateReader(form, prompt, TOOLS), pieces) == expected, pieces


@pytest.mark.parametrize(
    ("template", "written", "cut", "text", "calls"),
    [
        (CHATML, f"So <tool_call>{{oops}}</tool_call> and {CALL}.", False, "So{oops} and.", [CALLED]),
        (CHATML, 'So <tool_call>{"name": "weather", "argu', True, 'So{"name": "weather", "argu', []),
        (CHATML, 'So <tool_call>{"name": "weather", "argu', False, 'So{"name": "weather", "argu', []),
        (CHATML, '<tool_call>{"arguments": {}}</tool_call>', False, '{"arguments": {}}', []),
        (
            CHATML,
            '<tool_call>{"name": "f", "arguments": [1]}</tool_call>',
            False,
            '{"name": "f", "arguments": [1]}',
            [],
        ),
        (CHATML, f"{CALL[:-5]}", True, '{"name": "weather", "arguments": {"days": "3"}}', []),
        (CHANNELS, "I speak outside of all channels.", False, "I speak outside of all channels.", []),
        (CHANNELS, "<|channel|>odd<|message|>Hello", False, "<|channel|>odd<|message|>Hello", []),
    ],
)
def test_what_cannot_be_read_stays_text(
    template: Any, written: str, cut: bool, text: str, calls: list[ToolCall]
) -> None:
    form = read_template(template)
    for pieces in splits(written):
        assert read(TemplateReader(form, "", TOOLS), pieces, cut=cut) == AnswerPiece("", text, calls), pieces


def test_it_is_told_to_the_log_what_did_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "adapters.generation.template_reader"):
        read(TemplateReader(read_template(CHATML), "", TOOLS), ["<tool_call>{oops}</tool_call>"])
    assert "does not fit the tokenizer's response_template" in caplog.text


def test_without_tools_there_are_no_calls() -> None:
    assert read(TemplateReader(read_template(CHATML), "", None), [CALL]).text == CALL[11:-12]


def test_arguments_may_be_a_text_and_calls_a_list() -> None:
    listed = copy.deepcopy(CHATML)
    listed["fields"]["tool_calls"] |= {"repeats": False, "transform_each": True, "transform": {"function": {
        "name": "{name}", "arguments": "{arguments}"}}}  # fmt: skip
    written = '<tool_call>[{"name": "weather", "arguments": "{\\"days\\": 3}"}]</tool_call>'
    assert read(TemplateReader(read_template(listed), "", TOOLS), [written]).calls == [CALLED]
    broken = written.replace('\\"days', "\\'days")
    assert read(TemplateReader(read_template(listed), "", TOOLS), [broken]).text == broken[11:-12]


@pytest.mark.parametrize(
    ("prompt", "stage"),
    [
        ("<|start|>user\n<think><|start|>assistant\n", Stage.BEGINNING),
        ("<|start|>assistant\n<think>\n", Stage.THINKING),
        ("<|start|>assistant\n<think>\n\n</think>\n", Stage.ANSWERING),
        ("<|start|>assistant\n<tool_call>{oops}</tool_call>", Stage.BEGINNING),
    ],
)
def test_the_prompt_says_where_it_begins(prompt: str, stage: Stage) -> None:
    reader = TemplateReader(read_template(CHATML), prompt, None)
    assert (reader.stage, reader.thinks) == (stage, stage is Stage.THINKING)


@pytest.mark.parametrize("broken", [{}, {"start_anchor": "a", "fields": {"content": {"open_pattern": "("}}}, "text"])
def test_a_broken_template_fails_to_load_with_the_way_out(broken: Any) -> None:
    with pytest.raises(LoadError, match=r"response_template cannot be read: .*options\.reasoning: none leaves it out"):
        read_template(broken)
