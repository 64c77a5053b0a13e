"""Frames are written as they are read, and as the reference library has them."""

from __future__ import annotations

import pytest
from hyperframe import frame as reference
from hypothesis import given
from hypothesis import strategies as st

from server.api.http2 import frames
from server.api.http2.frames import ConnectionFailure, ErrorCode


@given(
    st.sampled_from([reference.DataFrame, reference.PingFrame, reference.RstStreamFrame, reference.WindowUpdateFrame]),
    st.integers(1, 2**31 - 1),
    st.integers(1, 2**31 - 1),
)
def test_the_reference_reads_them(kind: type[reference.Frame], stream: int, number: int) -> None:
    written = {
        reference.DataFrame: frames.frame(frames.DATA, frames.END_STREAM, stream, b"x" * (number % 999)),
        reference.PingFrame: frames.frame(frames.PING, frames.ACK, 0, number.to_bytes(8, "big")),
        reference.RstStreamFrame: frames.rst_stream(stream, ErrorCode(number % 14)),
        reference.WindowUpdateFrame: frames.window_update(stream, number),
    }[kind]
    head, length = reference.Frame.parse_frame_header(memoryview(written[:9]))
    assert (type(head), length) == (kind, len(written) - 9)
    assert head.stream_id == (0 if kind is reference.PingFrame else stream)
    head.parse_body(memoryview(written[9:]))
    assert head.serialize() == written


def test_the_rest_of_them() -> None:
    goaway = reference.GoAwayFrame(0, 7, ErrorCode.ENHANCE_YOUR_CALM, b"why").serialize()
    assert frames.goaway(7, ErrorCode.ENHANCE_YOUR_CALM, "why") == goaway
    values = {reference.SettingsFrame.INITIAL_WINDOW_SIZE: 99}
    assert frames.settings({frames.INITIAL_WINDOW_SIZE: 99}) == reference.SettingsFrame(0, values).serialize()
    assert frames.read_settings(frames.settings({2: 1, 9: 5})[9:]) == [(2, 1), (9, 5)]


@given(st.binary(max_size=50), st.integers(0, 255))
def test_padding_is_taken_off(data: bytes, padding: int) -> None:
    assert frames.unpadded(frames.PADDED, bytes((padding,)) + data + b"\0" * padding) == data
    assert frames.unpadded(0, data) == data


@pytest.mark.parametrize("payload", [b"", b"\1", b"\5abcd"])
def test_more_padding_than_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(ConnectionFailure, match="more padding"):
        frames.unpadded(frames.PADDED, payload)
