"""Portions of text."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from adapters.shared.texts import check_known, portions, without_panics


@pytest.mark.parametrize("seed", range(20))
def test_portions_hold_every_row_once_and_no_more_than_they_may(seed: int) -> None:
    rng = random.Random(seed)
    lengths = [rng.choice([0, 1, 5, 20, 99, 100, 101, 5000]) for _ in range(rng.randrange(60))]
    found = list(portions(lengths, 100))
    assert [row for portion in found for row in portion] == list(range(len(lengths)))
    for portion in found:
        assert len(portion) == 1 or sum(lengths[row] for row in portion) <= 100
    for portion, after in pairwise(found):
        assert sum(lengths[row] for row in portion) + lengths[after[0]] > 100


def test_what_the_tokenizer_finds_wrong_with_its_own_file_is_told_with_the_file() -> None:
    from tokenizers import Tokenizer, models

    with (
        pytest.raises(RuntimeError, match=r"gave up: WordPiece error: Missing \[UNK\].* tokenizer.json"),
        without_panics(),
    ):
        Tokenizer(models.WordPiece({"a": 0}, unk_token="[UNK]")).encode("b")
    with pytest.raises(KeyError), without_panics():
        raise KeyError("ours")


def test_tokens_that_the_model_does_not_know_are_its_tokenizer_s_fault() -> None:
    check_known([], 3)
    check_known([0, 2], 3)
    with pytest.raises(RuntimeError, match="gave token 3, but the model knows 3 tokens: they do not belong together"):
        check_known([0, 3], 3)
