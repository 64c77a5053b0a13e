"""Text from tokens, one at a time: never half a character, nothing lost, the same as decoding all at once."""

from __future__ import annotations

import random
from typing import Any

import pytest

from adapters.generation.detokenizer import Detokenizer
from adapters.generation.vocabulary import Vocabulary

TEXTS = ["one two three", "naïve café", "日本語です", "👩‍👩‍👧‍👦 and 🤗🤗", "a\n\n b", "  spaces  ", ""]


def pieces(detokenizer: Detokenizer, ids: list[int]) -> list[str]:
    return [*map(detokenizer.step, ids), detokenizer.flush()]


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_join_to_the_text_and_none_has_half_a_character(vocabulary: Vocabulary, text: str) -> None:
    found = pieces(Detokenizer(vocabulary.decode), vocabulary.encode_rendered(text))
    assert "".join(found) == text
    assert not any("\ufffd" in piece for piece in found)


def test_a_character_comes_with_its_last_token(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode_rendered("🤗!")
    assert pieces(Detokenizer(vocabulary.decode), ids) == ["", "", "", "🤗", "!", ""]


def test_what_is_left_unfinished_comes_at_the_end(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode_rendered("a🤗")[:-1]
    detokenizer = Detokenizer(vocabulary.decode)
    assert "".join(map(detokenizer.step, ids)) == "a"
    assert detokenizer.flush() == "\ufffd"
    assert detokenizer.flush() == ""


def test_any_tokens_decode_as_all_at_once(vocabulary: Vocabulary) -> None:
    """Nonsense too, as models at high temperatures write it: runs of bytes that are no text."""
    chance = random.Random(7)
    for _ in range(200):
        ids = [chance.randrange(3, len(vocabulary.tokenizer)) for _ in range(chance.randrange(1, 120))]
        assert "".join(pieces(Detokenizer(vocabulary.decode), ids)) == vocabulary.decode(ids)


def test_long_runs_of_no_text_are_not_kept_for_ever(vocabulary: Vocabulary) -> None:
    (byte,) = [each for each in range(len(vocabulary.tokenizer)) if vocabulary.bytes_of(each) == b"\x80"]
    detokenizer = Detokenizer(vocabulary.decode)
    sent = "".join(detokenizer.step(byte) for _ in range(1000))
    assert len(sent) >= 900
    assert len(sent + detokenizer.flush()) == 1000


@pytest.fixture(scope="module")
def fallback() -> Any:
    """SentencePiece's kind: a space is ▁, a strange character becomes a token a byte."""
    from tokenizers import Tokenizer, decoders, models

    vocab = {f"<0x{byte:02X}>": byte for byte in range(256)} | {"▁one": 256, "▁two": 257, "!": 258}
    tokenizer = Tokenizer(models.BPE(vocab, [], byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    return lambda ids: tokenizer.decode(list(ids), skip_special_tokens=False)


def test_runs_of_bytes_that_a_decoder_takes_as_one(fallback: Any) -> None:
    ids = [256, *"😀😀".encode(), 257]
    found = pieces(Detokenizer(fallback), ids)
    assert "".join(found) == "one😀😀 two"
    assert "\ufffd" not in "".join(found)


def test_a_space_before_the_first_token_stays_where_a_text_goes_on(fallback: Any) -> None:
    assert pieces(Detokenizer(fallback), [257])[0] == "two"
    assert pieces(Detokenizer(fallback, context=[256]), [257])[0] == " two"


def test_noise_after_a_sound_character(fallback: Any) -> None:
    text = "".join(pieces(Detokenizer(fallback), [*"😀".encode(), 0x80, 256]))
    assert text.startswith("😀")
    assert text.endswith("one")
