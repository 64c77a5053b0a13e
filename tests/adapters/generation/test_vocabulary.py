"""Ids and texts, special tokens once, and the bytes of tokens."""

from __future__ import annotations

import pytest

from adapters.generation.vocabulary import Vocabulary
from adapters.shared.tokenizer_growth import Growth
from tests.language_models import byte_level_tokenizer


def test_a_prompt_gets_its_special_tokens_once(vocabulary: Vocabulary) -> None:
    begin = vocabulary.tokenizer.bos_token_id
    assert vocabulary.encode("one")[0] == begin
    assert vocabulary.encode("<|begin|>one") == vocabulary.encode("one")
    assert vocabulary.encode_rendered("<|begin|>one") == vocabulary.encode("one")
    assert begin not in vocabulary.encode_rendered("one")


def test_special_tokens_have_no_text(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode_rendered("<|start|>one<|end|>")
    assert vocabulary.decode(ids) == "one"
    assert set(ids) - set(vocabulary.shown(ids)) == set(ids) & vocabulary.special


def test_bytes_of_tokens_join_to_the_text(vocabulary: Vocabulary) -> None:
    text = "naïve 🤗 one\n"
    ids = vocabulary.encode_rendered(text)
    assert b"".join(map(vocabulary.bytes_of, ids)) == text.encode()


def test_bytes_of_special_tokens_and_of_ids_beyond_the_tokenizer(vocabulary: Vocabulary) -> None:
    assert vocabulary.bytes_of(vocabulary.tokenizer.bos_token_id) == b"<|begin|>"
    assert vocabulary.bytes_of(vocabulary.size - 1) == b""
    assert vocabulary.decode([vocabulary.size - 1]) == ""


def test_sentencepiece_s_way_of_writing() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocab = {"<unk>": 0, "▁one": 1, "<0xE4>": 2}
    model = models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), unk_token="<unk>")
    found = Vocabulary(tokenizer, 3)
    assert [found.bytes_of(1), found.bytes_of(2)] == [b" one", b"\xe4"]


def test_a_text_is_read_to_where_it_becomes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    from tokenizers import normalizers

    monkeypatch.setattr("adapters.shared.tokenizer_growth._SLICE", 16)
    tokenizer, text = byte_level_tokenizer(), "9" * 1500
    assert Vocabulary(tokenizer, 320).beginning(text, 50) == (0, 0)  # twice 912 characters are read whole
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("9", "9" * 20)
    assert Vocabulary(tokenizer, 320, Growth.of(tokenizer)).beginning(text, 50) == (48, 48 * 20)
    assert Vocabulary(tokenizer, 320, Growth.of(tokenizer)).beginning("1" * 1500, 50) == (0, 0)


def test_ids_beyond_the_model_and_a_panic_are_failures_of_the_model() -> None:
    from tokenizers import Regex, pre_tokenizers

    tokenizer = byte_level_tokenizer()
    small = Vocabulary(tokenizer, 5)
    for way in (small.encode, small.encode_rendered, lambda text: small.encode_rendered(text, [(0, 1)])):
        with pytest.raises(RuntimeError, match="but the model knows 5 tokens"):
            way("one two")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(a+)+$"), "isolated")
    with pytest.raises(RuntimeError, match=r"the tokenizer gave up: .*retry-limit"):
        Vocabulary(tokenizer, 1000).encode("a" * 40 + "c")
