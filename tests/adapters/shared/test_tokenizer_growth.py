"""How much longer tokenizers make texts: those of known kinds are taken, and what multiplies is refused unread."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from adapters.base import LoadError
from adapters.shared.tokenizer_growth import Growth, Unbounded, check_growth
from tests.adapters.shared.test_tokenizer_audit import charsmap

#: becomes 18 characters under NFKC
WORD = "\ufdfa"


def tokenizer(*tokens: str) -> Tokenizer:
    return Tokenizer(models.WordLevel({token: i for i, token in enumerate(("u", "a", *tokens))}, unk_token="u"))


def of(change: Callable[[Tokenizer], None], *tokens: str) -> Growth:
    raw = tokenizer(*tokens)
    change(raw)
    return Growth.of(PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="u"))


def normalizer(*parts: Any) -> Callable[[Tokenizer], None]:
    return lambda raw: setattr(raw, "normalizer", normalizers.Sequence(list(parts)))


def decoder(*parts: Any) -> Callable[[Tokenizer], None]:
    return lambda raw: setattr(raw, "decoder", decoders.Sequence(list(parts)))


def template(single: str, tokens: int = 1) -> Callable[[Tokenizer], None]:
    said = {"id": "a", "ids": [1] * tokens, "tokens": ["a"] * tokens}
    return lambda raw: setattr(
        raw, "post_processor", processors.TemplateProcessing(single=single, special_tokens=[said])
    )


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
MULTIPLYING: dict[str, tuple[Callable[[Tokenizer], None], str]] = {
    "bytes of bytes": (normalizer(*[normalizers.ByteLevel()] * 30), "normalizers make a text up to billions of times"),
    "replaced": (normalizer(*[normalizers.Replace("a", "aa")] * 12), "its normalizers make a text up to 4096 times"),
    "a long text": (normalizer(normalizers.Replace("a", "b" * 3000)), "up to 3000 times as long, and 2048 are taken"),
    "between all": (normalizer(*[normalizers.Replace(Regex("x*"), "y")] * 12), "its normalizers make"),
    "prepended": (normalizer(*[normalizers.Prepend("bbbb")] * 8), "its normalizers make"),
    "nested": (
        normalizer(normalizers.Sequence([normalizers.Replace("b", WORD), normalizers.NFKD()] * 3)),
        "its normalizers make a text up to 5832 times as long",
    ),
    "split": (
        lambda raw: setattr(raw, "pre_tokenizer", pre_tokenizers.Sequence([BYTES] * 3)),
        "its pre-tokenizers make a text up to 125 times as long, and 16 are taken",
    ),
    "repeated": (template(" ".join(["$A"] * 5)), "its post-processors repeat a text 5 times, and 4 are taken"),
    "added": (template("a " * 1025 + "$A"), "its post-processors add 1025 tokens to a text, and 1024 are taken"),
    "added at once": (template("a $A", 1025), "its post-processors add 1025 tokens"),
    "decoded": (decoder(*[decoders.Replace("a", "aa")] * 7), "its decoders make the text of a token up to 128 times"),
    "searched": (
        decoder(decoders.Fuse(), decoders.Replace(Regex("(a+)+$"), "")),
        "a decoder searches by the pattern .*, which may take",
    ),
    "between letters": (decoder(*[decoders.BPEDecoder(suffix="")] * 7), "its decoders make"),
}


@pytest.mark.parametrize("name", MULTIPLYING)
def test_what_multiplies_is_refused(name: str) -> None:
    change, told = MULTIPLYING[name]
    with pytest.raises(LoadError, match=rf"^its tokenizer may take all memory or time for a short text: .*{told}"):
        of(change)


def test_the_text_of_a_token_is_bounded() -> None:
    of(lambda raw: None, "b" * 60_000)
    with pytest.raises(LoadError, match="the text of a token has up to 70000 characters, and 65536 are taken"):
        of(lambda raw: None, "b" * 70_000)
    with pytest.raises(LoadError, match="the text of a token has up to 120000 characters"):
        of(decoder(decoders.Replace("b", "bb")), "b" * 60_000)


ALBERT = {
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
            {"type": "NFKD"},
            {"type": "StripAccents"},
            {"type": "Lowercase"},
            {"type": "Precompiled", "precompiled_charsmap": charsmap(18)},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ],
    },
    "pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": True},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "c", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"c": {"id": "c", "ids": [2], "tokens": ["c"]}},
    },
}
LLAMA = {
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "_"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "_"},
        ],
    },
    "pre_tokenizer": None,
    "decoder": {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "_"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    },
}


def test_known_kinds_are_taken() -> None:
    assert check_growth(ALBERT, 30) == 972
    assert check_growth(LLAMA, 48) == 2
    assert check_growth({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}]}}, 128) == 1
    assert check_growth({"normalizer": {"type": "BertNormalizer"}, "decoder": {"type": "WordPiece"}}) == 3


def test_a_table_is_read_for_its_longest_text() -> None:
    table = json.loads(json.dumps(ALBERT))
    table["normalizer"]["normalizers"][4]["precompiled_charsmap"] = charsmap(60)
    with pytest.raises(Unbounded, match="up to 3240 times"):
        check_growth(table)


def test_texts_are_measured_by_what_they_become() -> None:
    growth = of(normalizer(normalizers.NFKC()))
    assert growth.beginning("a" * 50_000, 100_000) == (50_000, 50_000)
    assert growth.beginning(WORD * 50_000, 100_000) == (8192, 8192 * 18)
    assert growth.beginning(WORD * 3, 10) == (3, 54)
    assert growth.beginning("a" * 4096 + WORD * 10_000, 5000) == (8192, 4096 + 4096 * 18)


def test_a_tokenizer_that_is_none_of_the_package_is_taken_as_it_is() -> None:
    assert Growth.of(object()).beginning("abc", 2) == (2, 2)
    assert Growth.of(tokenizer()).beginning("abc", 9) == (3, 3)
