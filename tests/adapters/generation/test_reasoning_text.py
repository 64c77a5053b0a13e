"""Reasoning told from the answer, wherever the text is cut into pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from adapters.generation.reasoning_text import (
    AnswerPiece,
    ReasoningReader,
    ResponseReader,
    Stage,
    ThinkingMarks,
    marks_of,
    stage_of,
)

MARKS = ThinkingMarks("<think>", "</think>")


def splits(text: str) -> Iterator[list[str]]:
    """All ways to cut it in two, and character by character."""
    yield from ([text[:at], text[at:]] for at in range(len(text) + 1))
    yield list(text)


def read(reader: ResponseReader, pieces: Sequence[str], *, cut: bool = False) -> AnswerPiece:
    """All of it; what was told is what was not held back."""
    found = []
    told = 0
    for piece in pieces:
        found.append(reader.feed(piece))
        told += len(piece)
        assert reader.held <= told
    found.append(reader.flush(cut=cut))
    calls = [call for each in found for call in each.calls]
    return AnswerPiece("".join(each.reasoning for each in found), "".join(each.text for each in found), calls)


@pytest.mark.parametrize(
    ("stage", "written", "reasoning", "text"),
    [
        (Stage.BEGINNING, "<think>\nSo.\n\nYes.\n</think>\n\nHello </think>\n", "So.\n\nYes.", "Hello </think>\n"),
        (Stage.BEGINNING, "\n<think></think>\n\nHello", "", "Hello"),
        (Stage.BEGINNING, "Hello <think>you</think>", "", "Hello <think>you</think>"),
        (Stage.BEGINNING, " <thin", "", " <thin"),
        (Stage.BEGINNING, "<think> it is </thi", "it is </thi", ""),
        (Stage.BEGINNING, "<think> a < b </thin </think>c", "a < b </thin", "c"),
        (Stage.THINKING, "\nSo.</think>Hello", "So.", "Hello"),
        (Stage.THINKING, "<think>\nSo.</think> Hello", "So.", "Hello"),
        (Stage.THINKING, "<thin air", "<thin air", ""),
        (Stage.THINKING, "So. \n", "So.", ""),
        (Stage.THINKING, "</think>\n", "", ""),
        (Stage.ANSWERING, "\n <think>x</think>", "", "\n <think>x</think>"),
        (Stage.BEGINNING, "", "", ""),
    ],
)
def test_however_it_is_cut(stage: Stage, written: str, reasoning: str, text: str) -> None:
    for pieces in splits(written):
        assert read(ReasoningReader(MARKS, stage), pieces) == AnswerPiece(reasoning, text, []), pieces


def test_it_says_whether_it_reads_reasoning_and_what_it_holds() -> None:
    reader = ReasoningReader(MARKS, Stage.BEGINNING)
    told = []
    for piece in ("<thi", "nk>", "so", " </thi", "nk>", "\n", "yes"):
        reader.feed(piece)
        told.append((reader.thinks, reader.held))
    assert told == [(False, 4), (True, 0), (True, 0), (True, 6), (False, 0), (False, 0), (False, 0)]


@pytest.mark.parametrize(
    ("template", "marks"),
    [
        ("{{ content.split('</think>')[-1] }}", MARKS),
        ("{% if thinking %}<think>{% endif %}", MARKS),
        ("[THINK]{{ thinking }}[/THINK]", ThinkingMarks("[THINK]", "[/THINK]")),
        ("{{ content }}", None),
    ],
)
def test_a_template_shows_the_marks(template: str, marks: ThinkingMarks | None) -> None:
    assert marks_of(template) == marks


@pytest.mark.parametrize(
    ("prompt", "stage"),
    [
        ("assistant\n", Stage.BEGINNING),
        ("assistant\n<think>\n", Stage.THINKING),
        ("assistant\n<think>\n\n</think>\n\n", Stage.ANSWERING),
        ("assistant</think>", Stage.ANSWERING),
        ("<think>so</think> yes<|end|>assistant", Stage.BEGINNING),
    ],
)
def test_a_prompt_may_have_begun_or_ended_it(prompt: str, stage: Stage) -> None:
    assert stage_of(prompt, MARKS) is stage
