"""What the tokenizer knows: text to ids, ids to text, and the bytes of each token."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from adapters.generation.control_tokens import lies_in
from adapters.shared.texts import check_known, without_panics
from adapters.shared.tokenizer_growth import NONE, Growth

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "\u2581"  #: how SentencePiece writes one
_USUAL = 8  #: characters of a token, or less
_ROOM = 64  #: tokens that a beginning may have more than the whole text: what follows may join its last ones


class Vocabulary:
    """One tokenizer of transformers, and the size of the model's own table."""

    def __init__(self, tokenizer: Any, size: int, growth: Growth = NONE) -> None:
        """`size`: ids from 0 to that are the model's; its tokenizer often has fewer."""
        self.tokenizer = tokenizer
        self.size = size
        self._growth = growth
        added = tokenizer.added_tokens_decoder
        self.special = frozenset(tokenizer.all_special_ids) | {number for number in added if added[number].special}
        self.special_texts = frozenset(map(str, tokenizer.convert_ids_to_tokens(sorted(self.special))))
        self._added = {number: str(token) for number, token in added.items()}
        self._backend = getattr(tokenizer, "backend_tokenizer", None)

    def beginning(self, text: str, most: int) -> tuple[int, int]:
        """Characters of a text's beginning that are more than `most` tokens, and how many; (0, 0): it may well fit.

        A tokenizer takes a microsecond and 200 bytes for each character, and whoever asks meanwhile waits: so a text
        of far more characters than so many tokens usually have is not read to its end.
        """
        size = _USUAL * (most + _ROOM)
        while self._growth.beginning(text, 2 * size)[0] < len(text):
            read, _ = self._growth.beginning(text, size)
            if (count := len(self._ids(text[:read], special=False))) > most + _ROOM:
                return read, count
            size *= 2
        return 0, 0

    def encode(self, text: str) -> list[int]:
        """A prompt, with the special tokens that the model wants at its ends, once: a text may begin with one."""
        bos = self.tokenizer.bos_token
        has_bos = bool(bos) and text.startswith(bos)
        return self._ids(text, special=not has_bos)

    def encode_rendered(self, text: str, as_text: Sequence[tuple[int, int]] = ()) -> list[int]:
        """What a chat template wrote, which has its special tokens already.

        `as_text`: from where to where special tokens stand that are a client's words.

        Raises:
            ValueError: there are some, and the tokenizer does not tell where its tokens are.
        """
        if not as_text:
            return self._ids(text, special=False)
        if self._backend is None:
            raise ValueError("the tokenizer reads control tokens wherever they stand")
        with without_panics():
            found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        check_known(found["input_ids"], self.size)
        ids: list[int] = []
        for number, span in zip(found["input_ids"], found["offset_mapping"], strict=True):
            if number in self.special and lies_in(as_text, span):
                ids += self._letters(text[span[0] : span[1]])
            else:
                ids.append(number)
        return ids

    def _letters(self, text: str) -> list[int]:
        """A special token's text as other tokens."""
        with without_panics():
            found = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return [number for number in found["input_ids"] if number not in self.special]

    def _ids(self, text: str, special: bool) -> list[int]:
        with without_panics():
            ids: list[int] = self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        check_known(ids, self.size)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens; half a character at an end becomes U+FFFD."""
        return self.decode_all(self.shown(ids))

    def decode_all(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens within."""
        with without_panics():
            if self._backend is not None:
                return str(self._backend.decode(list(ids), skip_special_tokens=False))
            return str(self.tokenizer.decode(ids, clean_up_tokenization_spaces=False))

    def ids_of(self, texts: Iterable[str]) -> frozenset[int]:
        """Of added tokens that are just these texts."""
        wanted = set(texts)
        return frozenset(number for number, text in self._added.items() if text in wanted)

    def shown(self, ids: Sequence[int]) -> list[int]:
        """The ids that have a text."""
        return [number for number in ids if number not in self.special]

    def bytes_of(self, number: int) -> bytes:
        """The bytes that the token stands for; an id that the tokenizer does not know has none."""
        if number in self._added:
            return self._added[number].encode()
        token = self.tokenizer.convert_ids_to_tokens(number)
        if token is None:
            return b""
        if self._is_byte_level:
            codes = [_BYTES.get(character) for character in token]
            return token.encode() if None in codes else bytes(code for code in codes if code is not None)
        if match := _BYTE.fullmatch(token):
            return bytes([int(match[1], 16)])
        return str(token).replace(_SPACE, " ").encode()

    def written(self) -> str | None:
        """The tokenizer as a tokenizer.json; None where it is of another library."""
        if self._backend is None:
            return None
        written: dict[str, Any] = json.loads(self._backend.to_str())
        return json.dumps({**written, "padding": None, "truncation": None})

    @cached_property
    def _is_byte_level(self) -> bool:
        decoder = getattr(self._backend, "decoder", None)
        return decoder is not None and "ByteLevel" in json.dumps(json.loads(decoder.__getstate__()))


def _byte_alphabet() -> dict[str, int]:
    """The characters that byte-level tokenizers write bytes with (GPT-2's): visible ones, each standing for itself."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(plain)]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_alphabet()
