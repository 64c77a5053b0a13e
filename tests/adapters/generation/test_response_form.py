"""How one model's answers are read, by its tokenizer and its chat template."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from adapters.base import LoadError
from adapters.generation.reasoning_mask import AfterReasoning
from adapters.generation.reasoning_text import ReasoningReader, ThinkingMarks
from adapters.generation.response_form import ResponseForm
from adapters.generation.template_reader import TemplateReader
from adapters.generation.vocabulary import Vocabulary
from tests.adapters.generation.response_templates import CHANNELS, CHATML, NAMED
from tests.language_models import THINKING_TEMPLATE, byte_level_tokenizer


def form(chat_template: str | None = None, response_template: Any = None) -> ResponseForm:
    return ResponseForm.of(SimpleNamespace(chat_template=chat_template, response_template=response_template))


@pytest.fixture(scope="module")
def special() -> Vocabulary:
    """One whose mark for the beginning is a special token."""
    tokenizer = byte_level_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|start|>", "<think>"]})
    return Vocabulary(tokenizer, len(tokenizer))


def test_a_model_that_shows_no_marks_is_told_as_it_is(special: Vocabulary) -> None:
    plain = form("{{ messages }}")
    assert (plain.reads, plain.reads_calls, plain.has_frame) == (False, False, False)
    assert plain.reader("", None) is None
    assert plain.prompt_text(special, [1, 2, 3]) == ""
    assert plain.hidden(special) == special.special


def test_the_chat_template_shows_the_marks(special: Vocabulary) -> None:
    thinks = form(THINKING_TEMPLATE)
    assert isinstance(thinks.reader("", None), ReasoningReader)
    assert special.special - thinks.hidden(special) == {special.tokenizer.convert_tokens_to_ids("<think>")}
    ids = special.encode_rendered("one two three " * 20 + "<think>")
    assert len(thinks.prompt_text(special, ids)) < 100
    assert thinks.prompt_text(special, ids).endswith("<think>")


@pytest.mark.parametrize(
    ("template", "marks", "frame"),
    [
        (CHATML, ThinkingMarks("<think>", "</think>"), False),
        (NAMED, ThinkingMarks("<|channel>thought\n", "<channel|>"), False),
        (CHANNELS, ThinkingMarks("<|channel|>analysis<|message|>", "<|end|>"), True),
    ],
)
def test_a_response_template_goes_first(special: Vocabulary, template: Any, marks: ThinkingMarks, frame: bool) -> None:
    found = form("[THINK]", template)
    assert (found.marks, found.reads_calls, found.has_frame) == (marks, True, frame)
    assert isinstance(found.reader("", None), TemplateReader)
    assert found.hidden(special) == frozenset()
    ids = special.encode_rendered("<|start|>one two three")
    assert found.prompt_text(special, ids) == "<|start|>one two three"


def test_a_broken_one_is_told(special: Vocabulary) -> None:
    with pytest.raises(LoadError, match="response_template"):
        form("<think>", {"fields": {}})


@pytest.mark.parametrize("response_template", [None, CHATML])
def test_a_grammar_begins_with_the_answer(special: Vocabulary, response_template: Any) -> None:
    found = form(THINKING_TEMPLATE, response_template)

    def make() -> Any:
        return "the grammar"

    for prompt, wrapped in (("", True), ("<think>\n", True), ("<think>\n\n</think>\n\n", False)):
        mask = found.after_reasoning(make, f"<|start|>assistant\n{prompt}", special, frozenset())()
        assert isinstance(mask, AfterReasoning) is wrapped
    assert form().after_reasoning(make, "", special, frozenset()) is make
