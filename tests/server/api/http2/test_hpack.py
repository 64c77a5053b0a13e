"""Header blocks are read as the reference library writes and reads them; what is damaged, or a bomb, is refused."""

from __future__ import annotations

import hpack as reference
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.api.http2.frames import ConnectionFailure, ErrorCode
from server.api.http2.hpack import STATIC, BlockTooLarge, Decoder, indexed, literal

_ROOM = 2**16

names = st.sampled_from([b":path", b"te", b"x-a", b"user-agent", b"x" * 200]) | st.binary(min_size=1, max_size=20)
fields = st.lists(st.tuples(names, st.binary(max_size=300), st.booleans()), max_size=12)


@given(st.lists(st.tuples(fields, st.booleans(), st.none() | st.integers(0, 4096)), max_size=8))
def test_every_block_of_a_connection_is_read_as_it_was_meant(blocks: list[tuple[list, bool, int | None]]) -> None:
    encoder, decoder = reference.Encoder(), Decoder(_ROOM)
    for block, huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        assert decoder.decode(encoder.encode(block, huffman=huffman)) == [(name, value) for name, value, _ in block]


@given(st.lists(st.binary(max_size=40), max_size=4))
@example([b"\x20\x82"])
@example([b"\x3f\xe1\x1f\x82", b"\x40\x01a\x01b\xbe", b"\xbe"])
def test_any_bytes_are_read_or_refused_as_by_the_reference(blocks: list[bytes]) -> None:
    """But for numbers of more than five bytes, and a table that is never shrunk: those are refused here alone."""
    theirs, ours = reference.Decoder(_ROOM), Decoder(_ROOM)
    for block in blocks:
        try:
            wanted = [(bytes(name), bytes(value)) for name, value in theirs.decode(block, raw=True)]
        except (reference.HPACKError, UnicodeDecodeError):
            with pytest.raises((ConnectionFailure, BlockTooLarge)):
                ours.decode(block)
            return
        assert ours.decode(block) == wanted


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\x80", id="2.3.3 index 0"),
        pytest.param(b"\xc6", id="2.3.3 an index beyond both tables"),
        pytest.param(b"\x7f\x80\x01\x01a", id="2.3.3 a name beyond both tables"),
        pytest.param(b"\x82\x20", id="4.2 a size update after a field"),
        pytest.param(b"\x00\x01a\x82\x1f\xff", id="5.2 padding of more than seven bits"),
        pytest.param(b"\x00\x01a\x81\x18", id="5.2 padding that is no ones"),
        pytest.param(b"\x00\x01a\x84\xff\xff\xff\xff", id="5.2 the end of string"),
        pytest.param(b"\x40", id="6.2 cut after its first byte"),
        pytest.param(b"\x00\x05ab", id="6.2 a string that is cut"),
        pytest.param(b"\x3f\xe2\x1f", id="6.3 a table larger than was offered"),
        pytest.param(b"\xff" * 20, id="5.1 a number without an end"),
        pytest.param(b"\xff" + b"\x80" * 50 + b"\x00", id="5.1 a number of many zeros"),
    ],
)
def test_a_damaged_block_ends_the_connection(block: bytes) -> None:
    with pytest.raises(ConnectionFailure, match="a header block is damaged") as caught:
        Decoder(_ROOM).decode(block)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


def test_a_bomb_is_not_unfolded() -> None:
    decoder = Decoder(16_384)
    decoder.decode(b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000)
    with pytest.raises(BlockTooLarge):
        decoder.decode(b"\xbe" * 60)
    with pytest.raises(ConnectionFailure, match="16 times what it may have and more"):
        decoder.decode(b"\xbe" * 100_000)  # read no further
    assert decoder.decode(b"\xbe")[0][0] == b"a"  # the table is the client's still


def test_it_tells_when_the_table_has_changed() -> None:
    decoder = Decoder(_ROOM)
    decoder.decode(literal(b"a", b"b") + indexed(3))
    assert decoder.inserts == 0
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.inserts == 1
    assert decoder.decode(b"\xbe") == [(b"a", b"b")]
    assert decoder.inserts == 1
    decoder.decode(b"\x20")
    assert decoder.inserts == 2


def test_the_static_table_is_that_of_the_rfc() -> None:
    assert [reference.Decoder().decode(indexed(1 + number), raw=True)[0] for number in range(61)] == STATIC


@given(st.binary(min_size=1, max_size=300), st.binary(max_size=70_000))
def test_what_is_written_without_state_is_read(name: bytes, value: bytes) -> None:
    assert Decoder(2**20).decode(literal(name, value)) == [(name, value)]
