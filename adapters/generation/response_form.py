"""How one model's answers to chats are read: where it thinks, and how it calls tools.

By transformers' `response_template` where the tokenizer has one, or else by the marks that its chat template writes
around reasoning. Texts that go on (completions, V1, V2) are not read: they are told whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.base import Parameter
from adapters.generation.engine import TokenMask
from adapters.generation.reasoning_mask import AfterReasoning
from adapters.generation.reasoning_text import (
    ReasoningReader,
    ResponseReader,
    Stage,
    ThinkingMarks,
    marks_of,
    stage_of,
)
from adapters.generation.template_reader import CALLS, CONTENT, THINKING, TemplateReader, read_template
from adapters.generation.vocabulary import Vocabulary

UNREAD = "none"
OPTION = Parameter(
    "reasoning",
    choices=("auto", UNREAD),
    meaning="auto tells what the model thinks from its answer; none leaves it in the text; auto unless set",
)
_TAIL = 16  #: tokens of a prompt's end that have a mark and white space


@dataclass(frozen=True, slots=True)
class ResponseForm:
    """Of one model; without anything its texts are told as they are."""

    marks: ThinkingMarks | None = None
    template: Any = None  #: transformers' `ResponseTemplate`, which has the marks then

    @classmethod
    def of(cls, tokenizer: Any) -> ResponseForm:
        """
        Raises:
            LoadError: the tokenizer's response_template is none.
        """
        if (given := getattr(tokenizer, "response_template", None)) is None:
            return cls(marks_of(str(tokenizer.chat_template or "")))
        template = read_template(given)
        return cls(_marks_in(template), template)

    @property
    def reads(self) -> bool:
        """Whether there is anything to tell apart."""
        return self.marks is not None or self.template is not None

    @property
    def reads_calls(self) -> bool:
        """Whether calls of tools are among it."""
        return self.template is not None and CALLS in self.template.fields

    @property
    def has_frame(self) -> bool:
        """Whether the answer itself stands between marks of its own, so that no grammar can begin with it."""
        return self.template is not None and self.template.implicit != CONTENT

    def prompt_text(self, vocabulary: Vocabulary, ids: Sequence[int]) -> str:
        """Of a prompt, what a reader has to know."""
        if not self.reads:
            return ""
        return vocabulary.decode_all(ids if self.template is not None else ids[-_TAIL:])

    def reader(self, prompt: str, tools: Sequence[Mapping[str, Any]] | None) -> ResponseReader | None:
        """One for the answer to a prompt (`prompt_text`)."""
        if self.template is not None:
            return TemplateReader(self.template, prompt, tools)
        return ReasoningReader(self.marks, stage_of(prompt, self.marks)) if self.marks is not None else None

    def hidden(self, vocabulary: Vocabulary) -> frozenset[int]:
        """Special tokens that are no text for the reader."""
        if self.template is not None:
            return frozenset()
        marks = (self.marks.begin, self.marks.end) if self.marks is not None else ()
        return vocabulary.special - vocabulary.ids_of(marks)

    def after_reasoning(
        self, make: Callable[[], TokenMask], prompt: str, vocabulary: Vocabulary, end_ids: frozenset[int]
    ) -> Callable[[], TokenMask]:
        """A grammar's masks, which begin where the answer does."""
        marks = self.marks
        if marks is None:
            return make
        reader = self.reader(prompt, None)
        stage = reader.stage if isinstance(reader, TemplateReader) else stage_of(prompt, marks)
        if stage is Stage.ANSWERING:
            return make
        return lambda: AfterReasoning(make(), marks, stage, vocabulary, end_ids)


def _marks_in(template: Any) -> ThinkingMarks | None:
    """What reasoning stands between by a response_template, where that is one text each."""
    for name in sorted(THINKING & template.fields.keys()):
        field = template.fields[name]
        if field.open_literals and field.close_literals:
            return ThinkingMarks(field.open_literals[0], field.close_literals[0])
    return None
