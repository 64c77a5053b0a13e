"""KServe's options of tokenizers, over real ones."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("transformers")

from adapters.base import LoadError
from adapters.huggingface_.tokenizing import Tokenizing
from tests.adapters.huggingface_.models import train_bytes, train_wordpiece

TAKEN = frozenset({"input_ids", "attention_mask", "token_type_ids"})


def test_capital_letters_may_stay() -> None:
    plain, kept = train_wordpiece(), Tokenizing.of({"disable_lower_case": True}).prepare(train_wordpiece())
    assert plain("DOG")["input_ids"] == plain("dog")["input_ids"]
    assert kept("dog")["input_ids"] == plain("dog")["input_ids"]
    assert kept("DOG")["input_ids"] != plain("dog")["input_ids"]
    assert kept("dog", "hello").keys() == plain("dog", "hello").keys()
    untouched = Tokenizing.of({"disable_lower_case": True}).prepare(train_bytes())
    assert untouched("DOG")["input_ids"] == train_bytes()("DOG")["input_ids"]


def test_a_lowercase_within_a_sequence_goes() -> None:
    from tokenizers import normalizers

    tokenizer = train_wordpiece()
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    kept = Tokenizing(lower_case=False).prepare(tokenizer)
    assert kept.backend_tokenizer.normalizer.normalize_str("DOG") == "DOG"


def test_special_tokens_and_types_are_asked_for_in_each_call() -> None:
    assert Tokenizing.of({}).keywords() == {}
    asked = Tokenizing.of({"disable_special_tokens": True, "return_token_type_ids": True}).keywords()
    assert asked == {"add_special_tokens": False, "return_token_type_ids": True}


def test_what_the_model_is_given() -> None:
    assert Tokenizing.of({}).inputs(TAKEN) == TAKEN
    assert Tokenizing.of({"return_token_type_ids": False}).inputs(TAKEN) == {"input_ids", "attention_mask"}
    assert Tokenizing.of({"tensor_input_names": "input_ids, token_type_ids"}).inputs(TAKEN) == {
        "input_ids", "token_type_ids"}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tensor_input_names": "input_ids,odd"}, "tensor_input_names: the model takes no 'odd'"),
        ({"tensor_input_names": "attention_mask"}, "must hold input_ids"),
        ({"return_token_type_ids": True}, "the model takes no token_type_ids"),
    ],
)
def test_what_the_model_cannot_be_given_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        Tokenizing.of(options).inputs(frozenset({"input_ids", "attention_mask"}))
