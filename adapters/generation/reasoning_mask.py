"""A grammar for the answer of a model that thinks first: it begins behind the reasoning, as vLLM's does.

Until then all may follow but the end of the text, for what was asked for would be missing. Where the prompt leaves it
open whether the model thinks, the first token is one of the grammar's, or begins the reasoning.
"""

from __future__ import annotations

from typing import Any

from adapters.generation.engine import TokenMask
from adapters.generation.reasoning_text import Stage, ThinkingMarks
from adapters.generation.vocabulary import Vocabulary

_LONGEST = 16  #: tokens that a mark may be of


class AfterReasoning:
    """`engine.TokenMask` of one sequence."""

    def __init__(
        self, answer: TokenMask, marks: ThinkingMarks, stage: Stage, vocabulary: Vocabulary, end_ids: frozenset[int]
    ) -> None:
        self._answer = answer
        self._marks = marks
        self._stage = stage
        self._vocabulary = vocabulary
        self._end_ids = sorted(end_ids)
        self._begin_ids = sorted(vocabulary.ids_of((marks.begin,)))
        self._last: list[int] = []

    def is_ready(self, patience: float = 0.0) -> bool:
        return self._stage is Stage.THINKING or self._answer.is_ready(patience)

    def apply(self, row: Any) -> None:
        if self._stage is Stage.THINKING:
            row[self._end_ids] = -float("inf")
            return
        if self._stage is Stage.BEGINNING:
            begins = row[self._begin_ids].clone()
            self._answer.apply(row)
            row[self._begin_ids] = begins
            return
        self._answer.apply(row)

    def advance(self, token: int) -> None:
        if self._stage is Stage.THINKING:
            self._last = [*self._last, token][-_LONGEST:]
            if self._marks.end in self._vocabulary.decode_all(self._last):
                self._stage = Stage.ANSWERING
        elif self._stage is Stage.BEGINNING and token in self._begin_ids:
            self._stage = Stage.THINKING
        else:
            self._stage = Stage.ANSWERING
            self._answer.advance(token)
