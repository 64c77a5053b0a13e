"""Where a grammar begins in the text of a model that thinks first."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adapters.generation.reasoning_mask import AfterReasoning
from adapters.generation.reasoning_text import Stage, ThinkingMarks
from adapters.generation.vocabulary import Vocabulary
from tests.language_models import byte_level_tokenizer


class OnlyOne:
    """A grammar that lets one token follow, whatever came before it."""

    def __init__(self, token: int) -> None:
        self.token = token
        self.taken: list[int] = []
        self.ready = False

    def is_ready(self, patience: float = 0.0) -> bool:
        return self.ready

    def apply(self, row: torch.Tensor) -> None:
        kept = row[self.token].clone()
        row.fill_(-torch.inf)
        row[self.token] = kept

    def advance(self, token: int) -> None:
        self.taken.append(token)


@pytest.fixture(scope="module")
def thinking() -> Vocabulary:
    tokenizer = byte_level_tokenizer()
    tokenizer.add_tokens(["<think>", "</think>"])
    return Vocabulary(tokenizer, len(tokenizer))


def masked(thinking: Vocabulary, stage: Stage, marks: ThinkingMarks) -> tuple[AfterReasoning, OnlyOne, Any]:
    answer = OnlyOne(50)
    mask = AfterReasoning(answer, marks, stage, thinking, frozenset({1}))

    def allowed() -> list[int]:
        row = torch.zeros(thinking.size)
        mask.apply(row)
        return torch.isfinite(row).nonzero().flatten().tolist()

    return mask, answer, allowed


def test_it_begins_behind_the_reasoning_which_the_end_of_the_text_may_not_cut(thinking: Vocabulary) -> None:
    begin, end = (thinking.tokenizer.convert_tokens_to_ids(name) for name in ("<think>", "</think>"))
    mask, answer, allowed = masked(thinking, Stage.BEGINNING, ThinkingMarks("<think>", "</think>"))
    assert (mask.is_ready(), allowed()) == (False, [50, begin])
    mask.advance(begin)
    everything = [number for number in range(thinking.size) if number != 1]
    assert (mask.is_ready(), allowed()) == (True, everything)
    mask.advance(60)
    assert allowed() == everything
    mask.advance(end)
    assert (mask.is_ready(), allowed(), answer.taken) == (False, [50], [])
    mask.advance(50)
    assert answer.taken == [50]


def test_a_model_that_does_not_think_is_held_to_it_at_once(thinking: Vocabulary) -> None:
    mask, answer, allowed = masked(thinking, Stage.BEGINNING, ThinkingMarks("<think>", "</think>"))
    mask.advance(50)
    assert (answer.taken, allowed()) == ([50], [50])


def test_marks_may_be_several_tokens(thinking: Vocabulary) -> None:
    mask, answer, allowed = masked(thinking, Stage.THINKING, ThinkingMarks("[THINK]", "[/THINK]"))
    for token in thinking.encode_rendered("so [/THINK]"):
        assert len(allowed()) > 1
        mask.advance(token)
    assert (answer.taken, allowed()) == ([], [50])
