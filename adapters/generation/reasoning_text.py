"""What a model thinks before it answers, told apart from the answer, as its chat template has it marked.

    <think>\nA greeting.\n</think>\n\nHello!                          Qwen, DeepSeek, SmolLM; [THINK] is Mistral's

The prompt may have begun it (DeepSeek-R1: it ends with <think>), or ended it (an empty <think></think>, where a request
wants none). White space beside the marks belongs to neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from adapters.generation.held_back import Trimmed, could_begin
from adapters.generation.tool_calls import ToolCall


@dataclass(frozen=True, slots=True)
class ThinkingMarks:
    """What reasoning stands between."""

    begin: str
    end: str


#: those that are known, by what is looked for in a template
_KNOWN = (
    ThinkingMarks("<think>", "</think>"),
    ThinkingMarks("[THINK]", "[/THINK]"),
    ThinkingMarks("<seed:think>", "</seed:think>"),
)


class Stage(Enum):
    """How far a text has come."""

    BEGINNING = "it may begin with reasoning"
    THINKING = "it is reasoning"
    ANSWERING = "it is the answer"


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """What a piece of a model's text is of."""

    reasoning: str = ""
    text: str = ""  #: of the answer
    calls: Sequence[ToolCall] = ()


class ResponseReader(Protocol):
    """Takes an answer's text piece by piece."""

    @property
    def thinks(self) -> bool:
        """What comes next is reasoning, as far as that is known."""

    @property
    def held(self) -> int:
        """Characters that are held back."""

    def feed(self, piece: str) -> AnswerPiece: ...

    def flush(self, *, cut: bool) -> AnswerPiece:
        """What was held back, when nothing comes any more; `cut`: by a limit, and not by the model."""


def marks_of(template: str) -> ThinkingMarks | None:
    """Those that a chat template writes, or looks for; None: its model does not think, or nobody can tell where."""
    return next((marks for marks in _KNOWN if marks.begin in template or marks.end in template), None)


def stage_of(prompt: str, marks: ThinkingMarks) -> Stage:
    """Where the answer begins behind a prompt."""
    end = prompt.rstrip()
    if end.endswith(marks.begin):
        return Stage.THINKING
    return Stage.ANSWERING if end.endswith(marks.end) else Stage.BEGINNING


class ReasoningReader:
    """See `ResponseReader`. What comes behind the first reasoning is the answer, whatever it looks like."""

    def __init__(self, marks: ThinkingMarks, stage: Stage) -> None:
        self._marks = marks
        self._stage = stage
        self._again = stage is Stage.THINKING  #: some models begin it once more
        self._held = ""
        self._reasoning = Trimmed()
        self._leads = False  #: white space that comes now is between the two

    @property
    def thinks(self) -> bool:
        return self._stage is Stage.THINKING

    @property
    def held(self) -> int:
        return len(self._held) + self._reasoning.held

    def feed(self, piece: str) -> AnswerPiece:
        self._held += piece
        reasoning = ""
        if self._stage is Stage.BEGINNING or self._again:
            self._begin()
        if self._stage is Stage.THINKING and not self._again:
            reasoning = self._thought()
        return AnswerPiece(reasoning, self._answer() if self._stage is Stage.ANSWERING else "")

    def flush(self, *, cut: bool) -> AnswerPiece:
        rest, self._held = self._held, ""
        if self._stage is Stage.THINKING:
            return AnswerPiece(self._reasoning.add(rest))
        return AnswerPiece(text="" if self._leads else rest)

    def _begin(self) -> None:
        """Look whether the text begins with the mark, as soon as that is certain."""
        begun = self._held.lstrip()
        if begun.startswith(self._marks.begin):
            self._held = begun[len(self._marks.begin) :]
            self._stage, self._again = Stage.THINKING, False
        elif not self._marks.begin.startswith(begun):
            self._stage = Stage.THINKING if self._again else Stage.ANSWERING
            self._again = False

    def _thought(self) -> str:
        before, ended, after = self._held.partition(self._marks.end)
        if ended:
            self._held, self._stage, self._leads = after, Stage.ANSWERING, True
            told = self._reasoning.add(before)
            self._reasoning = Trimmed()
            return told
        kept = len(before) - could_begin(before, self._marks.end)
        self._held = before[kept:]
        return self._reasoning.add(before[:kept])

    def _answer(self) -> str:
        if self._leads:
            self._held = self._held.lstrip()
            self._leads = not self._held
        text, self._held = self._held, ""
        return text
