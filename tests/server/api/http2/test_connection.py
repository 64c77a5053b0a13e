"""The rules of RFC 9113, by h2spec's numbers: what a client says that it must not, and how that ends."""

from __future__ import annotations

import struct

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.http2 import frames
from server.api.http2.frame_reader import Http2Limits
from server.api.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    frame,
    window_update,
)
from server.api.http2.hpack import indexed, literal
from server.api.http2.outbox import Outbox, Stream
from tests.server.api.http2.client import HEAD, HELLO, Talk, block, headers, split

OPEN = headers(1, END_HEADERS)  #: a request whose body is still to come
WHOLE = headers(1)
HALF = frame(HEADERS, 0, 1, block())
MORE, LAST = frame(CONTINUATION, 0, 1, b""), frame(CONTINUATION, END_HEADERS, 1, b"")
ONE_BYTE = headers(1, END_HEADERS, block((b"content-length", b"1")))
LATE = headers(1, payload=block((b"x", b"y"), (b":authority", b"a"), base=HEAD[:3]))
NO_PATH = headers(1, payload=block(base=[(name, b"" if name == b":path" else value) for name, value in HEAD]))
RESET = frame(RST_STREAM, 0, 1, b"\0\0\0\x08")


def field(name: bytes, value: bytes) -> bytes:
    return headers(1, payload=block((name, value)))


def setting(name: int, value: int) -> bytes:
    return frame(SETTINGS, 0, 0, struct.pack(">HL", name, value))


def without(name: bytes) -> bytes:
    return headers(1, payload=block(base=[each for each in HEAD if each[0] != name]))


PROTOCOL, SIZE, CLOSED, FLOW, CALM, HPACK = (
    ("connection", f"{name}_ERROR") if name not in ("STREAM_CLOSED", "ENHANCE_YOUR_CALM") else ("connection", name)
    for name in ("PROTOCOL", "FRAME_SIZE", "STREAM_CLOSED", "FLOW_CONTROL", "ENHANCE_YOUR_CALM", "COMPRESSION")
)
STREAM = ("stream", "PROTOCOL_ERROR")
FINE = ("nothing", "")

#: h2spec's section and case -> what is said after the preface and settings, and how it ends
RULES: dict[str, tuple[bytes, tuple[str, str]]] = {
    # generic
    "generic/1 idle": (b"", FINE),
    "generic/2 HEADERS, DATA, RST_STREAM later": (OPEN + frame(DATA, END_STREAM, 1, b"x"), FINE),
    "generic/2 half closed: WINDOW_UPDATE": (WHOLE + window_update(1, 10), FINE),
    "generic/2 half closed: RST_STREAM": (WHOLE + frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), FINE),
    "generic/2 half closed: PRIORITY": (WHOLE + frame(PRIORITY, 0, 1, b"\0\0\0\0\1"), FINE),
    "generic/3.1 DATA with padding": (OPEN + frame(DATA, PADDED | END_STREAM, 1, b"\2hi\0\0"), FINE),
    "generic/3.2 HEADERS with padding": (
        frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\3" + block() + b"\0\0\0"), FINE),
    "generic/3.2 HEADERS with priority": (
        frame(HEADERS, END_HEADERS | END_STREAM | HAS_PRIORITY, 1, b"\0\0\0\0\1" + block()), FINE),
    "generic/3.3 PRIORITY with priority 1, 256, of idle streams": (
        frame(PRIORITY, 0, 1, b"\0\0\0\0\0") + frame(PRIORITY, 0, 3, b"\x80\0\0\1\xff"), FINE),
    "generic/3.5 SETTINGS": (frames.settings({frames.MAX_CONCURRENT_STREAMS: 100}), FINE),
    "generic/3.7 PING": (frame(PING, 0, 0, b"h2spec__"), FINE),
    "generic/3.8 GOAWAY": (frames.goaway(0, ErrorCode.NO_ERROR), FINE),
    "generic/3.9 WINDOW_UPDATE": (window_update(0, 1), FINE),
    "generic/3.10 CONTINUATION": (
        frame(HEADERS, END_STREAM, 1, block()) + frame(CONTINUATION, END_HEADERS, 1, literal(b"a", b"b")), FINE),
    "generic/5 trailers": (OPEN + headers(1, payload=block((b"x", b"y"), base=())), FINE),
    # 4
    "4.1/1 a frame of an unknown kind": (frame(0x16, 0, 0, b"\0" * 8), FINE),
    "4.1/2 unknown flags": (frame(PING, 0x16, 0, b"\0" * 8), FINE),
    "4.1/3 the reserved bit": (frame(PING, 0, 2**31, b"\0" * 8), FINE),
    "4.2/1 DATA of 2^14 bytes": (OPEN + frame(DATA, END_STREAM, 1, b"x" * 2**14), FINE),
    "4.2/2 DATA of more": (OPEN + frame(DATA, END_STREAM, 1, b"x" * (2**14 + 1)), SIZE),
    "4.2/3 HEADERS of more": (headers(1, payload=b"x" * (2**14 + 1)), SIZE),
    "4.3/1 a damaged header block": (headers(1, payload=b"\x40"), HPACK),
    "4.3/2 PRIORITY within a header block": (HALF + frame(PRIORITY, 0, 1, b"\0\0\0\0\1"), PROTOCOL),
    "4.3/3 HEADERS of another stream within one": (HALF + headers(3), PROTOCOL),
    # 5.1
    "5.1/1 idle: DATA": (frame(DATA, END_STREAM, 1, b"x"), PROTOCOL),
    "5.1/2 idle: RST_STREAM": (frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), PROTOCOL),
    "5.1/3 idle: WINDOW_UPDATE": (window_update(1, 100), PROTOCOL),
    "5.1/4 idle: CONTINUATION": (frame(CONTINUATION, END_HEADERS, 1, block()), PROTOCOL),
    "5.1/5 half closed: DATA": (WHOLE + frame(DATA, END_STREAM, 1, b"x"), ("stream", "STREAM_CLOSED")),
    "5.1/6 half closed: HEADERS": (WHOLE + headers(1), ("stream", "STREAM_CLOSED")),
    "5.1/7 half closed: CONTINUATION": (WHOLE + frame(CONTINUATION, END_HEADERS, 1, block()), PROTOCOL),
    "5.1.1/1 an even number": (headers(2), PROTOCOL),
    "5.1.1/2 a number that is smaller": (headers(5) + headers(3), CLOSED),
    "5.3.1/1 HEADERS that depend on themselves": (
        frame(HEADERS, END_HEADERS | END_STREAM | HAS_PRIORITY, 1, b"\0\0\0\1\1" + block()), PROTOCOL),
    "5.3.1/2 PRIORITY that does": (frame(PRIORITY, 0, 3, b"\0\0\0\3\1"), PROTOCOL),
    "5.5/1 extension frames": (frame(0xFF, 0, 0, b""), FINE),
    "5.5/2 one within a header block": (HALF + frame(0x16, 0, 0, b"") , PROTOCOL),
    # 6
    "6.1/1 DATA on stream 0": (frame(DATA, 0, 0, b"x"), PROTOCOL),
    "6.1/2 DATA of a stream that is over": (WHOLE + frame(DATA, END_STREAM, 1, b"x"), ("stream", "STREAM_CLOSED")),
    "6.1/3 more padding than DATA": (OPEN + frame(DATA, PADDED, 1, b"\6hi"), PROTOCOL),
    "6.2/1 HEADERS without END_HEADERS, then PRIORITY": (
        frame(HEADERS, END_STREAM, 1, block()) + frame(PRIORITY, 0, 1, b"\0\0\0\0\1"), PROTOCOL),
    "6.2/3 HEADERS on stream 0": (headers(0), PROTOCOL),
    "6.2/4 more padding than HEADERS": (frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + block()), PROTOCOL),
    "6.2 HEADERS that end within their priority": (frame(HEADERS, END_HEADERS | HAS_PRIORITY, 1, b"\0\0"), SIZE),
    "6.3/1 PRIORITY on stream 0": (frame(PRIORITY, 0, 0, b"\0\0\0\0\1"), PROTOCOL),
    "6.3/2 PRIORITY of four bytes": (OPEN + frame(PRIORITY, 0, 1, b"\0\0\0\0"), ("stream", "FRAME_SIZE_ERROR")),
    "6.4/1 RST_STREAM on stream 0": (frame(RST_STREAM, 0, 0, b"\0\0\0\x08"), PROTOCOL),
    "6.4/2 RST_STREAM of an idle stream": (frame(RST_STREAM, 0, 7, b"\0\0\0\x08"), PROTOCOL),
    "6.4/3 RST_STREAM of three bytes": (OPEN + frame(RST_STREAM, 0, 1, b"\0\0\0"), SIZE),
    "6.5/1 SETTINGS with ACK and a payload": (frame(SETTINGS, ACK, 0, b"\0" * 6), SIZE),
    "6.5/2 SETTINGS on a stream": (frame(SETTINGS, 0, 1, b""), PROTOCOL),
    "6.5/3 SETTINGS of five bytes": (frame(SETTINGS, 0, 0, b"\0" * 5), SIZE),
    "6.5.2/1 ENABLE_PUSH 2": (setting(frames.ENABLE_PUSH, 2), PROTOCOL),
    "6.5.2/2 INITIAL_WINDOW_SIZE above 2^31 - 1": (setting(frames.INITIAL_WINDOW_SIZE, 2**31), FLOW),
    "6.5.2/3 MAX_FRAME_SIZE below 2^14": (setting(frames.MAX_FRAME_SIZE, 2**14 - 1), PROTOCOL),
    "6.5.2/4 MAX_FRAME_SIZE above 2^24 - 1": (setting(frames.MAX_FRAME_SIZE, 2**24), PROTOCOL),
    "6.5.2/5 an unknown setting": (setting(0xFF, 1), FINE),
    "6.5.3 SETTINGS is acknowledged": (setting(frames.INITIAL_WINDOW_SIZE, 100), FINE),
    "6.7/2 PING with ACK": (frame(PING, ACK, 0, b"invalid!"), FINE),
    "6.7/3 PING on a stream": (frame(PING, 0, 1, b"\0" * 8), PROTOCOL),
    "6.7/4 PING of seven bytes": (frame(PING, 0, 0, b"\0" * 7), SIZE),
    "6.8/1 GOAWAY on a stream": (frame(GOAWAY, 0, 1, b"\0" * 8), PROTOCOL),
    "6.8 GOAWAY of seven bytes": (frame(GOAWAY, 0, 0, b"\0" * 7), SIZE),
    "6.9/1 WINDOW_UPDATE by 0": (window_update(0, 0), PROTOCOL),
    "6.9/2 WINDOW_UPDATE by 0 of a stream": (OPEN + window_update(1, 0), STREAM),
    "6.9/3 WINDOW_UPDATE of three bytes": (frame(WINDOW_UPDATE, 0, 0, b"\0\0\0"), SIZE),
    "6.9.1/2 a window above 2^31 - 1": (window_update(0, 2**31 - 1), FLOW),
    "6.9.1/3 that of a stream": (OPEN + window_update(1, 2**31 - 1), ("stream", "FLOW_CONTROL_ERROR")),
    "6.9.2/3 INITIAL_WINDOW_SIZE above 2^31 - 1": (setting(frames.INITIAL_WINDOW_SIZE, 2**32 - 1), FLOW),
    "6.9.2 one that makes a window too large": (
        OPEN + window_update(1, 2**30) + setting(frames.INITIAL_WINDOW_SIZE, 2**31 - 1), FLOW),
    "6.10/1 several CONTINUATION frames": (
        frame(HEADERS, END_STREAM, 1, block()) + MORE + LAST,
        FINE),
    "6.10/2 CONTINUATION, then DATA": (
        HALF + MORE + frame(DATA, END_STREAM, 1, b""), PROTOCOL),
    "6.10/3 CONTINUATION on stream 0": (HALF + frame(CONTINUATION, END_HEADERS, 0, b""), PROTOCOL),
    "6.10/4 CONTINUATION after END_HEADERS": (OPEN + LAST, PROTOCOL),
    "6.10/5 CONTINUATION, END_HEADERS, CONTINUATION": (
        HALF + LAST + LAST,
        PROTOCOL),
    "6.10/6 DATA, then CONTINUATION": (
        OPEN + frame(DATA, 0, 1, b"x") + LAST, PROTOCOL),
    "6.10 more frames of one block than there may be": (
        HALF + MORE * 40, CALM),
    "6.10 a header block that is too long": (
        frame(HEADERS, 0, 1, b"\x82" * 16_000) + frame(CONTINUATION, 0, 1, b"\x82" * 16_000), CALM),
    # 7
    "7/1 GOAWAY with an unknown code": (frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\xff"), FINE),
    "7/2 RST_STREAM with one": (OPEN + frame(RST_STREAM, 0, 1, b"\0\0\0\xff"), FINE),
    # 8
    "8.1/1 a second HEADERS without END_STREAM": (OPEN + headers(1, END_HEADERS), STREAM),
    "8.1.2/1 a name in upper case": (field(b"X-TEST", b"ok"), STREAM),
    "8.1.2.1/1 an unknown pseudo-field": (headers(1, payload=block(base=[*HEAD, (b":test", b"ok")])), STREAM),
    "8.1.2.1/2 one of answers": (headers(1, payload=block(base=[*HEAD, (b":status", b"200")])), STREAM),
    "8.1.2.1/3 one in trailers": (OPEN + headers(1, payload=block((b":method", b"GET"), base=())), STREAM),
    "8.1.2.1/4 one after a regular field": (LATE, STREAM),
    "8.1.2.2/1 connection": (field(b"connection", b"keep-alive"), STREAM),
    "8.1.2.2 transfer-encoding": (field(b"transfer-encoding", b"chunked"), STREAM),
    "8.1.2.2/2 te other than trailers": (field(b"te", b"trailers, deflate"), STREAM),
    "8.1.2.3/1 an empty :path": (NO_PATH, STREAM),
    "8.1.2.3/2 no :method": (without(b":method"), STREAM),
    "8.1.2.3/3 no :scheme": (without(b":scheme"), STREAM),
    "8.1.2.3/4 no :path": (without(b":path"), STREAM),
    "8.1.2.3/5 :method twice": (headers(1, payload=block(base=[HEAD[0], *HEAD])), STREAM),
    "8.1.2.3/6 :scheme twice": (headers(1, payload=block(base=[HEAD[1], *HEAD])), STREAM),
    "8.1.2.3/7 :path twice": (headers(1, payload=block(base=[HEAD[2], *HEAD])), STREAM),
    "8.1.2.6/1 content-length that is not that of DATA": (
        ONE_BYTE + frame(DATA, END_STREAM, 1, b"test"), STREAM),
    "8.1.2.6/2 that of several DATA frames": (
        ONE_BYTE + frame(DATA, 0, 1, b"te") + frame(DATA, END_STREAM, 1, b"st"),
        STREAM),
    "8.1.2.6 a body that is shorter": (
        headers(1, END_HEADERS, block((b"content-length", b"9"))) + frame(DATA, END_STREAM, 1, b"test"), STREAM),
    "8.1.2.6 no body at all": (field(b"content-length", b"9"), STREAM),
    "8.2/1 PUSH_PROMISE": (frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block()), PROTOCOL),
    "8.2.1 a line end in a value": (field(b"a", b"b\r\nc: d"), STREAM),
    # hpack (its own table is in test_hpack)
    "hpack/2.3.3": (headers(1, payload=b"\xc6"), HPACK),
    "hpack/4.2": (headers(1, payload=block() + b"\x20"), HPACK),
    "hpack/5.2": (headers(1, payload=block() + b"\x00\x01a\x82\x1f\xff"), HPACK),
    "hpack/6.1": (headers(1, payload=b"\x80"), HPACK),
    "hpack/6.3": (headers(1, payload=b"\x3f\xe2\x1f"), HPACK),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_the_rules(rule: str) -> None:
    said, ends = RULES[rule]
    talk = Talk()
    assert talk.ends(said) == ends
    if ends[0] != "connection":  # others are served on
        assert talk.ends(headers(9, payload=block())) == FINE
        assert talk.app.begun[-1].id == 9


@pytest.mark.parametrize("rule", RULES)
def test_they_hold_byte_by_byte(rule: str) -> None:
    said, ends = RULES[rule]
    if len(said) > 1000:
        said, ends = headers(1), FINE
    talk = Talk(hello=b"")
    found = [talk.ends(bytes((byte,))) for byte in HELLO + said]
    assert [each for each in found if each != FINE] == ([] if ends == FINE else [ends])


@pytest.mark.parametrize(
    ("hello", "ends"),
    [
        pytest.param(b"INVALID CONNECTION PREFACE\r\n\r\n", PROTOCOL, id="3.5/2 no preface"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", PROTOCOL, id="3.5 HTTP/1.1"),
        pytest.param(frames.PREFACE + headers(1), PROTOCOL, id="3.5 no settings first"),
        pytest.param(frames.PREFACE + frames.SETTINGS_ACK, PROTOCOL, id="3.5 their acknowledgement first"),
        pytest.param(frames.PREFACE[:10], FINE, id="3.5 half a preface"),
        pytest.param(HELLO, FINE, id="3.5/1 preface and settings"),
    ],
)
def test_how_a_connection_begins(hello: bytes, ends: tuple[str, str]) -> None:
    assert Talk(hello=b"").ends(hello) == ends


def test_ping_and_settings_are_acknowledged() -> None:
    talk = Talk()
    talk.said(frame(PING, 0, 0, b"h2spec__") + frames.settings({}))
    assert talk.heard() == [(PING, ACK, 0, b"h2spec__"), (SETTINGS, ACK, 0, b"")]


def test_streams_beyond_the_limit_are_refused_and_others_answered() -> None:
    talk = Talk(Http2Limits(max_streams=2))
    for number in (1, 3, 5):
        talk.said(headers(number, END_HEADERS))
    refused = (RST_STREAM, 0, 5, ErrorCode.REFUSED_STREAM.to_bytes(4, "big"))
    assert talk.heard() == [refused]
    assert talk.ends(frame(DATA, END_STREAM, 5, b"on its way") + frame(DATA, END_STREAM, 3, b"x")) == FINE
    assert talk.app.bodies == {1: b"", 3: b"x"}


def test_what_comes_late_for_a_stream_that_is_over_is_let_through() -> None:
    talk = Talk()
    talk.said(OPEN)
    talk.http.answer(talk.app.begun[0], b"\x88", b"", b"")  # before the request's end: the rest is of no interest
    assert (RST_STREAM, 0, 1, b"\0\0\0\0") in talk.heard()
    late = frame(DATA, 0, 1, b"x") + headers(1) + window_update(1, 5) + frame(RST_STREAM, 0, 1, b"\0\0\0\x08")
    assert talk.ends(late) == FINE


def test_a_stream_that_both_have_ended_is_closed() -> None:
    talk = Talk()
    talk.said(WHOLE)
    talk.http.answer(talk.app.begun[0], b"\x88", b"x", b"")
    talk.heard()
    assert not talk.http.streams
    assert talk.ends(frame(DATA, END_STREAM, 1, b"x")) == CLOSED


FLOODS = {
    "PING": (b"", frame(PING, 0, 0, b"\0" * 8)),
    "SETTINGS": (b"", frames.settings({})),
    "PRIORITY": (b"", frame(PRIORITY, 0, 3, b"\0\0\0\0\1")),
    "unknown frames": (b"", frame(0x77, 0, 0, b"")),
    "empty DATA": (OPEN, frame(DATA, 0, 1, b"")),
    "WINDOW_UPDATE": (OPEN, window_update(0, 1)),
    "RST_STREAM of what is over": (
        OPEN + frame(RST_STREAM, 0, 1, b"\0\0\0\x08"),
        frame(RST_STREAM, 0, 1, b"\0\0\0\x08"),
    ),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_ends_the_connection(kind: str) -> None:
    before, one = FLOODS[kind]
    talk = Talk()
    talk.said(before)
    assert talk.ends(one * 25_000) == CALM


@pytest.mark.parametrize("kind", FLOODS)
def test_the_same_over_a_longer_time_is_none(kind: str) -> None:
    before, one = FLOODS[kind]
    talk = Talk()
    talk.said(before)
    for _ in range(5):
        assert talk.ends(one * 900) == FINE
        talk.now += 1.1


def test_streams_that_are_begun_and_reset_are_a_flood() -> None:
    talk = Talk()
    said = b"".join(headers(n) + frame(RST_STREAM, 0, n, b"\0\0\0\x08") for n in range(1, 3001, 2))
    assert talk.ends(said) == CALM
    assert talk.app.gone == [stream.id for stream in talk.app.begun]  # all work is dropped


def test_so_are_streams_that_we_are_made_to_reset() -> None:
    talk = Talk()
    talk.said(b"".join(headers(n, payload=block((b"A", b""))) for n in range(1, 3001, 2)))
    assert talk.heard()[-1][0] == GOAWAY
    assert talk.http.failed


def test_more_than_the_windows_is_refused() -> None:
    talk = Talk(Http2Limits(stream_window=20_000, window=200_000))
    assert talk.ends(OPEN + frame(DATA, 0, 1, b"x" * 16_000) * 2) == ("stream", "FLOW_CONTROL_ERROR")
    talk.said(headers(3, END_HEADERS))
    window = 200_000
    for _ in range(1 + window // 16_000):  # of a stream that nobody reads: the connection's window opens again
        talk.http.streams[3].receive_window = 2**20
        assert talk.ends(frame(DATA, 0, 3, b"x" * 16_000)) == FINE


def test_what_is_used_may_come_again() -> None:
    talk = Talk(Http2Limits(stream_window=100_000))
    talk.said(OPEN + frame(DATA, 0, 1, b"x" * 16_000) * 4)
    stream = talk.http.streams[1]
    assert talk.heard() == []
    talk.http.used(stream, 64_000)
    assert talk.heard() == [(WINDOW_UPDATE, 0, 1, (64_000).to_bytes(4, "big"))]
    assert stream.receive_window == 100_000


@pytest.mark.parametrize("window", [0, 1, 1000, 65_535, 2**20])
def test_an_answer_goes_out_as_the_client_reads(window: int) -> None:
    talk = Talk(hello=frames.PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: window}))
    talk.said(WHOLE)
    body = bytes(range(256)) * 1000
    talk.http.answer(talk.http.streams[1], b"\x88", body, b"\x89")
    found = talk.heard()
    for _ in range(1000):
        if not talk.http.streams:
            break
        talk.said(window_update(1, 60_000) + window_update(0, 60_000))
        found += talk.heard()
    kinds = [kind for kind, _, _, _ in found]
    assert kinds == [HEADERS, *[DATA] * (len(kinds) - 2), HEADERS]
    assert b"".join(payload for _, _, _, payload in found[1:-1]) == body
    assert found[-1] == (HEADERS, END_HEADERS | END_STREAM, 1, b"\x89")
    assert all(len(payload) <= 16_384 for _, _, _, payload in found)
    assert talk.http.out.unsent == 0


def test_nobody_keeps_the_others_from_their_answers() -> None:
    talk = Talk()
    talk.said(headers(1) + headers(3))
    talk.http.answer(talk.http.streams[1], b"\x88", b"x" * 10**6, b"\x89")
    talk.heard()
    talk.http.answer(talk.http.streams[3], b"\x88", b"y" * 100_000, b"\x89")
    talk.said(window_update(0, 2**20) + window_update(3, 2**20))  # stream 1 has no window
    assert [number for kind, _, number, _ in talk.heard() if kind == DATA][-1] == 3
    assert 3 not in talk.http.streams
    assert 1 in talk.http.streams


def test_a_client_that_leaves_is_sent_nothing_more() -> None:
    talk = Talk()
    talk.said(WHOLE)
    talk.http.answer(talk.http.streams[1], b"\x88", b"x" * 10**6, b"\x89")
    talk.heard()
    talk.said(frame(RST_STREAM, 0, 1, b"\0\0\0\x08") + window_update(0, 2**20))
    assert talk.heard() == []
    assert talk.app.gone == [1]
    assert talk.http.out.unsent == 0


def test_it_leaves_when_the_client_knows() -> None:
    talk = Talk()
    talk.said(OPEN)
    assert talk.http.leave()
    assert not talk.http.leave()
    (first, ping) = talk.heard()
    assert first == (GOAWAY, 0, 0, b"\x7f\xff\xff\xff\0\0\0\0")
    talk.said(headers(3))  # begun before it was read
    assert not talk.http.left
    talk.said(frame(PING, ACK, 0, ping[3]) + headers(5) + frame(DATA, 0, 7, b"x"))
    assert talk.heard() == [(GOAWAY, 0, 0, b"\0\0\0\3\0\0\0\0")]
    assert [stream.id for stream in talk.app.begun] == [1, 3]
    talk.http.answer(talk.http.streams[3], b"\x88", b"", b"")
    assert not talk.http.left
    talk.said(frame(DATA, END_STREAM, 1, b"x"))
    talk.http.answer(talk.http.streams[1], b"\x88", b"", b"")
    assert talk.http.left


def test_a_block_is_known_by_its_bytes_until_the_table_changes() -> None:
    talk = Talk()
    encoder = hpack.Encoder()
    talk.said(headers(1, payload=encoder.encode(HEAD)))  # inserts :authority
    repeated = encoder.encode(HEAD)
    talk.said(headers(3, payload=repeated) + headers(5, payload=repeated))
    assert talk.app.begun[1].head is talk.app.begun[2].head
    talk.said(headers(7, payload=b"\x40\x01a\x01b" + indexed(4)))  # it inserts, and is no request
    changed = encoder.encode([(b"a", b"b")])
    assert changed  # the client's table is another now, too
    talk.said(headers(9, payload=encoder.encode(HEAD)))
    assert talk.app.begun[-1].head == talk.app.begun[1].head


def test_a_head_that_is_too_large_is_the_applications_to_refuse() -> None:
    talk = Talk(Http2Limits(max_head=300))
    talk.said(headers(1, payload=block((b"a", b"b" * 250))))
    assert talk.app.begun[0].head == "too large"
    talk.said(headers(3))
    assert talk.app.begun[1].head.path == b"/"


@given(st.lists(st.one_of(
    st.builds(frame, st.integers(0, 11), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=40)),
    st.sampled_from([OPEN, WHOLE, headers(3), headers(5, END_HEADERS), frame(DATA, 1, 5, b"x"), window_update(0, 9)]),
    st.binary(max_size=20),
), max_size=12))  # fmt: skip
def test_whatever_is_said_it_answers_in_whole_frames_and_keeps_count(said: list[bytes]) -> None:
    talk = Talk()
    talk.app.when_whole = lambda stream: talk.http.answer(stream, b"\x88", b"x", b"\x89")
    for each in said:
        talk.said(each)
        heard = talk.heard()
        assert all(kind <= CONTINUATION for kind, _, _, _ in heard)
    assert talk.http.failed <= (not talk.http.streams)
    assert talk.http.out.unsent == sum(stream.unsent for stream in talk.http.streams.values())
    assert len(split(HELLO[len(frames.PREFACE) :])) == 1


def test_streams_that_fail_fill_no_memory() -> None:
    """Each is remembered for a while, as the client may not know it: many a second, for hours."""
    talk = Talk(Http2Limits(max_streams=8))
    for number in range(1, 4001, 2):
        talk.now += 0.01
        talk.said(frame(PRIORITY, 0, number, b"short"))
    assert not talk.http.failed
    assert len(talk.http._gone) <= 16


def test_thousands_of_windows_in_one_frame_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would be a walk over all streams."""
    resized = []
    talk = Talk()
    for number in range(1, 200, 2):
        talk.said(headers(number, END_HEADERS))
    resize = type(talk.http.out).resize

    def count(self: Outbox, size: int, streams: list[Stream]) -> None:
        resized.append(size)
        resize(self, size, streams)

    monkeypatch.setattr(type(talk.http.out), "resize", count)
    talk.said(frame(SETTINGS, 0, 0, b"".join(struct.pack(">HL", 4, size) for size in range(2700))))
    assert resized == [2699]
    assert {stream.send_window for stream in talk.http.streams.values()} == {2699}


def test_a_bomb_is_not_read_to_its_end() -> None:
    """References to a long field of the table: sixteen thousand bytes that say sixty million."""
    talk = Talk()
    long = b"\x40\x01a\x7f\x81\x1e" + b"x" * 3968
    assert talk.ends(headers(1, payload=block() + long)) == FINE
    assert talk.ends(headers(3, payload=block() + b"\xbe" * 10)) == FINE  # too large, and answered so
    assert talk.ends(headers(5, payload=block() + b"\xbe" * 16_000)) == CALM


def test_what_comes_waits_while_what_goes_out_is_much() -> None:
    """A client that asks much by few bytes, and reads nothing, has no answers made that nobody reads."""
    talk = Talk()
    talk.said(window_update(0, 2**30))
    talk.app.when_whole = lambda stream: talk.http.answer(stream, b"", b"x" * 4096, b"")
    talk.said(b"".join(headers(number) for number in range(1, 1001, 2)))
    assert talk.http.stalled
    assert len(talk.app.begun) < 100
    assert talk.http.out.size < 300_000
    while talk.http.stalled:
        talk.heard()
        talk.http.go_on()
    assert len(talk.app.begun) == 500
