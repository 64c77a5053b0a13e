"""From a model's output for one text to the answer, for every task and parameter; outputs are given by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adapters.base import InvalidInput, LoadError, TensorSpec  # noqa: E402
from adapters.huggingface_.encoder import Row  # noqa: E402
from adapters.huggingface_.sentence import Sentence  # noqa: E402
from adapters.huggingface_.tasks import FillMask, SequenceClassification, TokenClassification, column  # noqa: E402

MASK = 4
WORDS = ["a", "b", "c"]


def encoder(labels: int = 3, kind: str | None = None, mask: str | None = "[MASK]") -> Any:
    config = SimpleNamespace(num_labels=labels, problem_type=kind, id2label=dict(enumerate(["O", "B", "C"])))
    return SimpleNamespace(
        model=SimpleNamespace(config=config),
        tokenizer=SimpleNamespace(mask_token=mask, mask_token_id=MASK),
        max_length=8,
        decode=lambda ids: " ".join(WORDS[token] for token in ids),
    )


def classifier(labels: int = 3, kind: str | None = None) -> SequenceClassification:
    return SequenceClassification(encoder(labels, kind), Sentence())


ROW = Row({"input_ids": [1, 2]})
PAIR = Row({"input_ids": [1, 2]}, pair=True)
#: whose softmax is 1/6, 1/3, 1/2
LOGITS = torch.tensor([[0.0, math.log(2), math.log(3)]])
THIRDS = {"O": pytest.approx(1 / 6), "B": pytest.approx(1 / 3), "C": pytest.approx(1 / 2)}


def test_a_class_is_the_largest_logits() -> None:
    assert classifier().answer(ROW, LOGITS, {}) == 2
    assert classifier().spec({}) == TensorSpec("output-0", "INT64", (-1,))


def test_what_the_classes_are_called() -> None:
    assert classifier().labels == TokenClassification(encoder(), Sentence()).labels == ("O", "B", "C")
    assert classifier(labels=4).labels == ("O", "B", "C", "3"), "a configuration may lack one"
    assert classifier(labels=1).labels == ()
    assert FillMask(encoder(), Sentence()).labels == ()


def test_a_text_has_scores_by_class_in_whatever_form_is_asked_for() -> None:
    task = classifier()
    assert task.answer(ROW, LOGITS, {"return_probabilities": True}) == {"0": 0.1667, "1": 0.3333, "2": 0.5}
    assert task.answer(ROW, LOGITS, {"return_raw_logits": True}) == pytest.approx(
        {"0": 0.0, "1": math.log(2), "2": math.log(3)}
    )
    assert task.answer(ROW, LOGITS, {"labels": True}) == {"label": "C", "score": THIRDS["C"]}
    best = [{"label": name, "score": THIRDS[name]} for name in "CB"]
    assert task.answer(ROW, LOGITS, {"top_k": 2, "labels": True, "return_raw_logits": True}) == best
    assert len(task.answer(ROW, LOGITS, {"top_k": 9})) == 3
    assert task.spec({"top_k": 2}) == TensorSpec("output-0", "BYTES", (-1,), json=True)


@pytest.mark.parametrize("count", [0, -1])
def test_no_best_answers_at_all_cannot_be_asked_for(count: int) -> None:
    with pytest.raises(InvalidInput, match=f"top_k is {count}: ask for at least 1"):
        classifier().answer(ROW, LOGITS, {"top_k": count})
    with pytest.raises(InvalidInput):
        FillMask(encoder(), Sentence()).answer(Row({"input_ids": [MASK]}), LOGITS[None], {"top_k": count})


@pytest.mark.parametrize(
    ("kind", "scores"),
    [
        ("multi_label_classification", [1 / 2, 2 / 3, 3 / 4]),
        ("regression", [0, math.log(2), math.log(3)]),
        ("single_label_classification", [1 / 6, 1 / 3, 1 / 2]),
    ],
)
def test_scores_follow_from_the_kind_of_problem(kind: str, scores: list[float]) -> None:
    found = classifier(kind=kind).answer(ROW, LOGITS, {"return_probabilities": True})
    assert list(found.values()) == pytest.approx(scores, abs=5e-5)


def test_a_regression_of_several_numbers_gives_them_all() -> None:
    task = classifier(kind="regression")
    assert task.spec({}) == TensorSpec("output-0", "FP32", (-1, 3))
    assert task.answer(ROW, LOGITS, {}).tolist() == LOGITS[0].tolist()
    assert not task.meaning(task.spec({}))
    assert task.meaning(classifier(labels=1).spec({})) == "score"


def test_a_single_output_is_a_score_itself_and_of_a_pair_between_0_and_1() -> None:
    task = classifier(labels=1)
    one = torch.tensor([[math.log(3)]])
    assert task.answer(ROW, one, {}) == np.float32(math.log(3))
    assert task.answer(PAIR, one, {}) == pytest.approx(0.75)
    assert type(task.answer(PAIR, one, {})) is np.float32
    assert classifier(1, "regression").answer(PAIR, one, {}) == pytest.approx(math.log(3))
    assert task.spec({}) == TensorSpec("output-0", "FP32", (-1,))


TOKENS = torch.stack([LOGITS[0], LOGITS[0].flip(0), LOGITS[0]])[None]
TAGGED = Row({"input_ids": [7, 8, 9]}, ["[CLS]", "hello", "wörld"], [(0, 0), (0, 5), (6, 11)], [1, 0, 0])


def test_every_token_has_a_class() -> None:
    task = TokenClassification(encoder(), Sentence())
    assert task.answer(TAGGED, TOKENS, {}).tolist() == [[2, 0, 2]]
    found = task.answer(TAGGED, TOKENS, {"return_probabilities": True})
    assert found[1] == {"0": 0.5, "1": 0.3333, "2": 0.1667}
    assert task.answer(TAGGED, TOKENS, {"return_raw_logits": True})[0]["0"] == 0
    assert task.spec({}) == TensorSpec("output-0", "INT64", (-1, 1, -1))
    assert task.spec({"return_raw_logits": True}) == TensorSpec("output-0", "BYTES", (-1,), json=True)


def test_entities_are_the_texts_own_tokens_inside_a_class() -> None:
    task = TokenClassification(encoder(), Sentence())
    wanted = {"entity": "C", "score": THIRDS["C"], "index": 2, "word": "wörld", "start": 6, "end": 11}
    assert task.answer(TAGGED, TOKENS, {"labels": True}) == [wanted]
    slow = Row(TAGGED.features, TAGGED.words, [], TAGGED.special)
    assert task.answer(slow, TOKENS, {"labels": True}) == [{**wanted, "start": None, "end": None}]


MASKED = Row({"input_ids": [7, MASK, MASK]})


def test_masks_are_filled_in_their_order() -> None:
    task = FillMask(encoder(), Sentence())
    assert task.answer(MASKED, TOKENS, {}) == "a c"
    best = task.answer(MASKED, TOKENS, {"top_k": 2})
    assert best[0] == [
        {"score": THIRDS["C"], "token": 0, "token_str": "a"},
        {"score": THIRDS["B"], "token": 1, "token_str": "b"},
    ]
    assert [each["token_str"] for each in task.answer(MASKED, TOKENS, {"top_k": 9})[1]] == ["c", "b", "a"]


def test_scores_of_masks_are_by_token() -> None:
    task = FillMask(encoder(), Sentence())
    found = task.answer(MASKED, TOKENS, {"return_probabilities": True})
    assert found[1] == [{"0": "0.1667"}, {"1": "0.3333"}, {"2": "0.5000"}]
    assert task.answer(MASKED, TOKENS, {"return_raw_logits": True})[1][0] == {"0": 0.0}
    assert not task.spec({}).json
    assert task.spec({"return_raw_logits": True}).json


def test_a_text_without_a_mask_is_told_so() -> None:
    task = FillMask(encoder(), Sentence())
    task.check(MASKED, "text[0]")
    with pytest.raises(InvalidInput, match=r"^text\[3\] has no \[MASK\] among its first 8 tokens"):
        task.check(ROW, "text[3]")
    assert all("[MASK]" in text for text in task.example())


def test_a_tokenizer_without_a_mask_fills_nothing_in() -> None:
    with pytest.raises(LoadError, match="no mask token"):
        FillMask(encoder(mask=None), Sentence())


@pytest.mark.parametrize(
    ("answers", "dtype", "shape"),
    [
        ([1, 2], np.int64, (2,)),
        ([np.float32(1), np.float32(2)], np.float32, (2,)),
        ([np.zeros(3, np.float32)] * 2, np.float32, (2, 3)),
        (["a", "b"], np.object_, (2,)),
        ([[1, 2], [3, 4]], np.object_, (2,)),
        ([{"0": 1.0}], np.object_, (1,)),
    ],
    ids=["classes", "scores", "vectors", "texts", "lists", "objects"],
)
def test_answers_become_one_column(answers: list[Any], dtype: Any, shape: tuple[int, ...]) -> None:
    found = column(answers)
    assert (found.dtype, found.shape) == (dtype, shape)
    assert found.tolist() == [answer.tolist() if hasattr(answer, "tolist") else answer for answer in answers]
