"""The table of tasks is whole: every task of the installed transformers is served, or refused with a reason."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

from adapters.huggingface_.pipeline_tasks import (
    ALIASES,
    LANGUAGE,
    PIPELINES,
    REFUSED,
    of_speech,
    task_of_head,
)


def test_no_task_of_transformers_is_missing() -> None:
    from transformers.pipelines import SUPPORTED_TASKS, TASK_ALIASES

    known = {*PIPELINES, *REFUSED, *ALIASES}
    assert set(SUPPORTED_TASKS) <= known
    assert set(TASK_ALIASES) <= known
    assert not set(PIPELINES) & set(REFUSED)


def test_tasks_that_transformers_lost_have_ways_of_their_own() -> None:
    for name in ("question-answering", "summarization", "translation", "text2text-generation"):
        assert PIPELINES[name].own
        assert PIPELINES[name].auto_classes


def test_every_row_has_inputs_of_different_names_and_a_single_owner_of_each_head() -> None:
    heads = [head for row in PIPELINES.values() for head in row.heads]
    assert len(heads) == len(set(heads))
    for row in PIPELINES.values():
        names = [each.name for each in row.inputs]
        assert len(names) == len(set(names)) > 0


def test_the_longest_ending_wins() -> None:
    names = ("BertForQuestionAnswering", "TapasForQuestionAnswering", "OwlViTForObjectDetection")
    found = {name: row.name for name in (*names, "DetrForObjectDetection", "SpeechEncoderDecoderModel")
             if (row := task_of_head(name))}  # fmt: skip
    assert list(found.values()) == [
        *("question-answering", "table-question-answering", "zero-shot-object-detection"),
        *("object-detection", "automatic-speech-recognition"),
    ]
    assert task_of_head("BertModel") is None


@pytest.mark.parametrize(
    ("kind", "times", "language"),
    [("seq2seq_whisper", ("segment", "word"), True), ("ctc", ("word", "char"), False), ("seq2seq", None, False)],
)
def test_models_of_speech_know_different_things(kind: str, times: tuple[str, ...] | None, language: bool) -> None:
    row = PIPELINES["automatic-speech-recognition"]
    known = {each.name: each for each in of_speech((*row.parameters, *row.generated), kind)}
    assert (known["return_timestamps"].choices if times else None) == times
    assert (LANGUAGE.name in known) is language
    assert ("max_new_tokens" in known) is (kind != "ctc")
