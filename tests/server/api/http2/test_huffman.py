"""HPACK's Huffman code is read as the reference library writes it."""

from __future__ import annotations

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from server.api.http2 import huffman

_REFERENCE = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def test_the_words_are_those_of_the_rfc() -> None:
    listed = {
        (length, code): letter
        for letter, (length, code) in enumerate(zip(REQUEST_CODES_LENGTH, REQUEST_CODES, strict=True))
    }
    assert huffman.words() == listed


@given(st.binary(max_size=64))
def test_what_is_encoded_is_read_back(text: bytes) -> None:
    assert huffman.decode(_REFERENCE.encode(text)) == text


@pytest.mark.parametrize(
    "encoded",
    [b"\x1f\xff", b"\x18", b"\xff\xff\xff\xff", b"\x1f\xff\xff\xff\xff", b"\x00\xff\xff"],
    ids=["eight ones of padding", "padded by zeros", "the end of string", "it, after a letter", "sixteen ones"],
)
def test_what_is_no_string_is_refused(encoded: bytes) -> None:
    with pytest.raises(ValueError, match="no Huffman string"):
        huffman.decode(encoded)
