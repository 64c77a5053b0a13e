"""A header block is known again by its bytes, and only for as long as it means the same."""

from __future__ import annotations

from collections.abc import Sequence

import hpack
from hypothesis import given
from hypothesis import strategies as st

from server.api.http2.header_blocks import HeaderBlocks, KnownHead
from server.api.http2.hpack import Field, literal


class Reading:
    def __init__(self, max_size: int = 2**14) -> None:
        self.read = 0
        self.blocks = HeaderBlocks(max_size, self._interpret, lambda: ("too large", None))

    def _interpret(self, fields: Sequence[Field]) -> KnownHead:
        self.read += 1
        return [*fields], None


def test_a_block_is_interpreted_once() -> None:
    reading, block = Reading(), literal(b"a", b"b")
    assert reading.blocks.head(block) is reading.blocks.head(block)
    assert reading.read == 1


def test_one_that_inserts_is_never_known_and_makes_all_forgotten() -> None:
    reading = Reading()
    reading.blocks.head(literal(b"a", b"b"))
    for _ in range(3):
        reading.blocks.head(b"\x40\x01a\x01b")
    assert reading.read == 4
    assert not reading.blocks.known


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), max_size=60))
def test_it_means_what_the_table_says_now(calls: list[tuple[bool, int, int]]) -> None:
    """However known blocks, and blocks that insert, follow each other."""
    reading, encoder = Reading(), hpack.Encoder()
    encoder.header_table_size = 160  # what was inserted goes soon
    for sensitive, name, value in calls:
        field = (b"name-%d" % name, b"v" * value)
        block = encoder.encode([hpack.NeverIndexedHeaderTuple(*field) if sensitive else field])
        assert reading.blocks.head(block) == ([field], None)


def test_clients_that_never_repeat_themselves_fill_no_memory() -> None:
    reading = Reading()
    for number in range(10_000):
        reading.blocks.head(literal(b"a", b"%d" % number))
    reading.blocks.head(literal(b"a", b"x" * 5000))
    assert len(reading.blocks.known) <= 64
    assert max(map(len, reading.blocks.known)) < 1000


def test_few_bytes_that_say_much_fill_none_either() -> None:
    """Heads that refer to a long field of the table: each is some bytes, and would be kept as many."""
    reading = Reading()
    reading.blocks.head(b"\x40\x01a\x7f\x81\x0f" + b"x" * 2048)
    for number in range(64):
        reading.blocks.head(b"\xbe\xbe" + literal(b"b", b"%d" % number))
    kept = [known for known, _ in reading.blocks.known.values()]
    assert sum(len(name) + len(value) for fields in kept for name, value in fields) < 2**14


def test_one_that_is_too_large_is_told_and_the_next_is_read() -> None:
    reading = Reading(100)
    assert reading.blocks.head(literal(b"a", b"b" * 100)) == ("too large", None)
    assert reading.blocks.fields(literal(b"a", b"b" * 100)) is None
    assert reading.blocks.fields(literal(b"a", b"b")) == [(b"a", b"b")]
