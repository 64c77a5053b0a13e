"""Texts are counted before a pipeline is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("transformers")

from tokenizers import normalizers

from adapters.base import InvalidInput, LoadError, TooLong
from adapters.huggingface_.pipeline_tasks import PIPELINES
from adapters.huggingface_.text_lengths import TextLimit
from adapters.shared.texts import AT_ONCE
from adapters.shared.tokenizer_growth import Growth
from tests.adapters.huggingface_.models import train_wordpiece


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_wordpiece()


def limit(tokenizer: Any, task: str) -> TextLimit:
    return TextLimit(tokenizer, 8, task, PIPELINES[task].cut is not None)


@pytest.mark.parametrize(
    ("task", "row", "reason"),
    [
        ("text-classification", {"text": "dog " * 9}, r"text\[2\] has 11 tokens and the model takes 8: .* truncation"),
        ("zero-shot-classification", {"text": "dog", "candidate_labels": ["dog " * 9]}, r"text\[2\] has \d+ tokens"),
        ("zero-shot-image-classification", {"candidate_labels": ["a", "dog " * 9]}, r"candidate_labels\[2\] has \d+"),
        ("question-answering", {"question": "dog " * 9, "context": "x"}, r"question\[2\] has 11 tokens .* shorten it$"),
    ],
)
def test_what_is_too_long_is_named(task: str, row: dict[str, Any], reason: str, tokenizer: Any) -> None:
    with pytest.raises(InvalidInput, match=reason):
        limit(tokenizer, task).check(row, 2, {})


@pytest.mark.parametrize("field", ["text", "context", "candidate_labels"])
def test_what_is_far_too_long_is_not_even_tokenized(field: str) -> None:
    text = "a" * (AT_ONCE + 1)
    row = {"question": "b", field: ["b", text] if field == "candidate_labels" else text}
    nobody: Any = None  #: no tokenizer is asked
    with pytest.raises(TooLong, match=rf"{field}\[3\] has 1000001 characters, 1000000 are taken: shorten it"):
        limit(nobody, "text-classification").check_characters(row, 3)
    TextLimit(nobody, 100_000, "text-classification", can_cut=True).check_characters(row, 3)


def test_what_a_text_becomes_counts() -> None:
    nobody: Any = None
    limited = TextLimit(nobody, 8, "text-classification", can_cut=True, growth=Growth(normalizers.NFKC(), 18))
    limited.check_characters({"text": "\ufdfa" * 50_000}, 0)  # 18 characters each
    with pytest.raises(TooLong, match=r"text\[0\] has 60000 characters, 57344 are taken: shorten it"):
        limited.check_characters({"text": "\ufdfa" * 60_000}, 0)


def test_what_fits_passes(tokenizer: Any) -> None:
    limit(tokenizer, "text-classification").check({"text": "dog"}, 0, {})
    limit(tokenizer, "question-answering").check({"question": "dog", "context": "dog " * 99}, 0, {})
    limit(tokenizer, "zero-shot-classification").check(
        {"text": "dog", "candidate_labels": ["dog"]}, 0, {"hypothesis_template": "{}"}
    )


def test_the_option_may_not_exceed_the_model() -> None:
    config: Any = SimpleNamespace(max_position_embeddings=40)
    config.get_text_config = lambda: config
    pipe = SimpleNamespace(tokenizer=train_wordpiece(), model=SimpleNamespace(config=config, modules=lambda: []))
    made = TextLimit.of(pipe, PIPELINES["text-classification"], 10)
    assert made is not None
    assert made.tokens == pipe.tokenizer.model_max_length == 10
    with pytest.raises(LoadError, match="max_length is 41, but this model takes from 3 to"):
        TextLimit.of(pipe, PIPELINES["text-classification"], 41)
    assert TextLimit.of(pipe, PIPELINES["document-question-answering"], None) is None
