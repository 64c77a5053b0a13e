"""Frames are cut from bytes however they come, and the connection's own are obeyed."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from server.api.http2 import frames
from server.api.http2.frames import ErrorCode, frame
from tests.server.api.http2.client import HELLO, Talk, headers

_SAID = headers(1, frames.END_HEADERS) + frame(frames.DATA, 0, 1, b"a" * 300) + frame(frames.DATA, 1, 1, b"b")
_SAID += frame(frames.PING, 0, 0, b"12345678") + headers(3)


@given(st.lists(st.integers(0, len(HELLO + _SAID)), max_size=20))
def test_it_does_not_matter_where_bytes_are_cut(cuts: list[int]) -> None:
    talk, said = Talk(hello=b""), HELLO + _SAID
    places = sorted({0, *cuts, len(said)})
    for begin, end in pairwise(places):
        talk.said(said[begin:end])
    assert talk.app.bodies == {1: b"a" * 300 + b"b", 3: b""}
    assert (frames.PING, frames.ACK, 0, b"12345678") in talk.heard()


def test_it_says_what_may_come() -> None:
    talk = Talk(hello=b"")
    talk.http.out.frames.clear()
    again = Talk(hello=b"").http
    again.receive(HELLO)
    data = b"".join(again.out.frames)
    assert frames.settings({}) not in data[:9]
    assert data.endswith(frames.SETTINGS_ACK)


def test_after_a_failure_nothing_is_read_and_all_work_is_dropped() -> None:
    talk = Talk()
    assert talk.ends(headers(1) + frame(frames.PING, 0, 1, b"")) == ("connection", "PROTOCOL_ERROR")
    assert talk.app.gone == [1]
    talk.said(headers(3))
    assert talk.heard() == []
    assert talk.http.left
    assert len(talk.app.begun) == 1


def test_why_it_failed_is_said() -> None:
    talk = Talk(hello=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert talk.http.failed
    talk = Talk()
    talk.said(frame(frames.PING, 0, 0, b"\0"))
    (*_, (kind, _, _, payload)) = talk.heard()
    assert kind == frames.GOAWAY
    assert payload[4:] == ErrorCode.FRAME_SIZE_ERROR.to_bytes(4, "big") + b"a payload of 1 bytes, not 8"
