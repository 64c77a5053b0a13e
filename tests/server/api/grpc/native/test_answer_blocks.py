"""Blocks of answers are read by anybody's HPACK, and texts come back from `grpc-message`."""

from __future__ import annotations

from urllib.parse import unquote

import hpack
from hypothesis import given
from hypothesis import strategies as st

from server.api.grpc.native import answer_blocks


def read(block: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in hpack.Decoder().decode(block, raw=True)]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(text: str) -> None:
    escaped = answer_blocks.escaped(text)
    assert all(0x20 <= byte < 0x7F for byte in escaped)
    assert unquote(escaped.decode(), errors="strict") == text


def test_the_blocks() -> None:
    accepted = (b"grpc-accept-encoding", b"identity, deflate, gzip")
    beginning = [(b":status", b"200"), (b"content-type", b"application/grpc")]
    assert read(answer_blocks.head("")) == [*beginning, accepted]
    assert read(answer_blocks.head("gzip")) == [*beginning, accepted, (b"grpc-encoding", b"gzip")]
    assert read(answer_blocks.OK_TRAILERS) == [(b"grpc-status", b"0"), (b"grpc-message", b"")]
    trailers = answer_blocks.trailers("NOT_FOUND", "no", (("a", "b"), ("c-bin", b"\x00")))
    ending = [(b"grpc-status", b"5"), (b"grpc-message", b"no"), (b"a", b"b"), (b"c-bin", b"AA")]
    assert read(trailers) == ending
    assert read(answer_blocks.only_trailers(200, trailers)) == [*beginning, *ending]
    assert read(answer_blocks.only_trailers(405, b""))[0] == (b":status", b"405")


def test_metadata_that_fits_no_frame_is_left_out() -> None:
    block = answer_blocks.trailers("INTERNAL", "x" * 100_000, (("a", "b" * 100_000),))
    assert len(block) <= 16_384
    assert [name for name, _ in read(block)] == [b"grpc-status", b"grpc-message"]
