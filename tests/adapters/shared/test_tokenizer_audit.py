"""Files of tokenizers: those of known models are harmless, and what may take long is found wherever it is."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest

from adapters.modeldir import ModelDir
from adapters.shared.tokenizer_audit import TOKENIZER, tokenizer_carries
from tests.adapters.huggingface_.models import train_bytes, train_wordpiece


def carries(folder: Path, tokenizer: Any) -> str:
    (folder / TOKENIZER).write_text(tokenizer if isinstance(tokenizer, str) else json.dumps(tokenizer))
    return tokenizer_carries(ModelDir.of(folder))


def harmless() -> dict[str, Any]:
    return {
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "▁"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}]},
        "post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"}]},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}]},
        "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
        "padding": None,
    }


def split(pattern: Any) -> dict[str, Any]:
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


def replace(pattern: Any, content: Any) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def charsmap(longest: int) -> str:
    return base64.b64encode((4).to_bytes(4, "little") + b"trie" + b"a\0" + b"b" * longest + b"\0").decode()


PRECOMPILED = {"type": "Precompiled", "precompiled_charsmap": charsmap(100_000)}
EVIL: dict[str, tuple[Any, ...]] = {
    "normalizer": (
        replace({"Regex": "(a+)+$"}, ""),
        replace({"Regex": "a"}, "b" * 1000),
        replace({"String": "a"}, "b" * 1000),
        replace({"String": ""}, "b" * 100),
        replace({"String": "a", "Regex": "(a+)+$"}, ""),
        replace({"String": 1}, ""),
        replace(None, ""),
        {"type": "Prepend", "prepend": "b" * 1000},
        {"type": "Unheard"},
        {"type": ["NFC"]},
        {},
        "NFC",
        PRECOMPILED,
        {"type": "Precompiled", "precompiled_charsmap": "no base 64!"},
        {"type": "Sequence", "normalizers": [replace({"String": "a"}, "b" * 9)] * 3},
    ),
    "pre_tokenizer": (
        split({"Regex": "(a+)+$"}),
        split({"Regex": r"\w+b"}),
        split({"Regex": ["a"]}),
        split("a"),
        {"type": "Unheard"},
        {"type": "Sequence"},
        7,
    ),
    "post_processor": (
        {"type": "Unheard"},
        {"type": "TemplateProcessing", "special_tokens": {"a": {"id": "a", "ids": [1] * 100_000, "tokens": []}}},
    ),
    "decoder": (replace({"Regex": "(a+)+$"}, ""), {"type": "Unheard"}),
}
KEYS = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
    "decoder": "decoders",
}
PADS = [{"type": "NFC"}], [{"type": "Digits"}], [{"type": "ByteLevel"}], [{"type": "Fuse"}]


@pytest.mark.parametrize("seed", range(25))
def test_what_may_take_long_is_found_wherever_it_is(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    for (part, evils), pads in zip(EVIL.items(), PADS, strict=True):
        for evil in evils:
            here = evil
            for _ in range(rng.randrange(5)):
                inner = [*pads * rng.randrange(3), here, *pads * rng.randrange(3)]
                here = {"type": "Sequence", KEYS[part]: inner}
            tokenizer = {**harmless(), part: here}
            text = json.dumps(
                dict(rng.sample(sorted(tokenizer.items()), len(tokenizer))), ensure_ascii=rng.random() < 0.5
            )
            if rng.random() < 0.3:
                text = text.replace('"type"', '"t\\u0079pe"').replace('"Regex"', '"\\u0052egex"')
            assert carries(tmp_path, text).startswith("has a tokenizer.json that may take long"), text


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("model", {"type": "Unigram", "vocab": [["a", 0.0], ["a" * 5000, 0.0]]}),
        ("model", {"vocab": [["a", 0.0], ["a" * 5000, 0.0]]}),
        ("model", {"type": "WordPiece", "vocab": {}, "max_input_chars_per_word": 10**9}),
        ("model", {"type": "WordPiece", "vocab": {}, "max_input_chars_per_word": "many"}),
        ("model", {"type": "Unheard"}),
        ("padding", {"strategy": {"Fixed": 10**12}, "pad_id": 0}),
        ("padding", {"strategy": "BatchLongest", "pad_to_multiple_of": 10**12}),
    ],
)
def test_models_and_paddings_without_bounds_are_found(tmp_path: Path, part: str, value: Any) -> None:
    assert carries(tmp_path, {**harmless(), part: value})


def test_a_key_that_comes_twice_is_not_believed(tmp_path: Path) -> None:
    text = json.dumps(harmless())
    assert not carries(tmp_path, text)
    evil = json.dumps(split({"Regex": "(a+)+$"}))
    assert "twice" in carries(tmp_path, f'{{"pre_tokenizer": {evil}, {text[1:]}')
    assert "twice" in carries(tmp_path, text.replace('"type": "Whitespace"', '"type": "Whitespace", "type": "Split"'))


def test_what_is_no_tokenizer_is_left_to_the_loader(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"model": null}', "{", "[" * 100_000, '{"model": NaN'):
        assert not carries(tmp_path, text)
    (tmp_path / TOKENIZER).unlink()
    assert not tokenizer_carries(ModelDir.of(tmp_path))


def test_pickled_weights_are_told_too(tmp_path: Path) -> None:
    assert carries(tmp_path, {**harmless(), "decoder": {"type": "Unheard"}})
    found = tokenizer_carries(ModelDir.of(tmp_path), pickled=True)
    assert found.startswith("holds pickled weights, and a tokenizer.json that may take long")


@pytest.mark.parametrize("train", [train_wordpiece, train_bytes])
def test_usual_tokenizers_are_harmless(tmp_path: Path, train: Any) -> None:
    train().save_pretrained(tmp_path)
    assert not tokenizer_carries(ModelDir.of(tmp_path))


def test_a_sentencepiece_tokenizer_is_harmless(tmp_path: Path) -> None:
    tokenizer = {
        **harmless(),
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": charsmap(40)},
                replace({"Regex": " {2,}"}, " "),
                replace({"String": "``"}, '"'),
            ],
        },
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁the", -3.0]], "byte_fallback": False},
    }
    assert not carries(tmp_path, tokenizer)
