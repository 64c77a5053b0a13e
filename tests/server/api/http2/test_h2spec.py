"""Every case of h2spec (github.com/summerwind/h2spec), by its number: a row here, in test_connection or in test_hpack.

h2spec itself is a program in Go, which no registry of packages has; its cases are short enough to be rows.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import hpack
import pytest

from server.api.http2 import frames
from server.api.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    PING,
    PRIORITY,
    SETTINGS,
    frame,
    window_update,
)
from server.api.http2.hpack import indexed
from tests.server.api.http2 import test_connection, test_hpack
from tests.server.api.http2.client import HEAD, Talk, block, headers
from tests.server.api.http2.test_connection import (
    CLOSED,
    FINE,
    HALF,
    OPEN,
    PROTOCOL,
    RESET,
    RULES,
    WHOLE,
)

#: h2spec's sections, and how many cases each has
SECTIONS = {
    "generic/1": 1, "generic/2": 5, "generic/3.1": 3, "generic/3.2": 3, "generic/3.3": 5, "generic/3.4": 1,
    "generic/3.5": 1, "generic/3.7": 1, "generic/3.8": 1, "generic/3.9": 2, "generic/3.10": 2, "generic/4": 4,
    "generic/5": 15,
    "3.5": 2, "4.1": 3, "4.2": 3, "4.3": 3, "5.1": 13, "5.1.1": 2, "5.1.2": 1, "5.3.1": 2, "5.4.1": 2, "5.5": 2,
    "6.1": 3, "6.2": 4, "6.3": 2, "6.4": 3, "6.5": 3, "6.5.2": 5, "6.5.3": 2, "6.7": 4, "6.8": 1, "6.9": 3,
    "6.9.1": 3, "6.9.2": 3, "6.10": 6, "7": 2, "8.1": 1, "8.1.2": 1, "8.1.2.1": 4, "8.1.2.2": 2, "8.1.2.3": 7,
    "8.1.2.6": 2, "8.2": 1,
    "hpack/2.3.3": 2, "hpack/4.2": 1, "hpack/5.2": 3, "hpack/6.1": 1, "hpack/6.3": 1,
}  # fmt: skip

PATH = [each for each in HEAD if each[0] != b":path"]
TRAILERS = headers(1, payload=block((b"x-test", b"ok"), base=()))
STREAM_CLOSED = ("stream", "STREAM_CLOSED")


def priority(stream: int, on: int, weight: int, exclusive: bool = False) -> bytes:
    return frame(PRIORITY, 0, stream, struct.pack(">LB", on | exclusive << 31, weight - 1))


def method(name: bytes) -> bytes:
    return headers(1, payload=block(base=[(b":method", name), *HEAD[1:]]))


def field(coded: bytes) -> bytes:
    """A whole request with one more field, in these bytes."""
    return headers(1, payload=block() + coded)


def text(value: bytes, huffman: bool) -> bytes:
    """A string as a field has it; `huffman` is by the reference library."""
    coded = hpack.huffman.HuffmanEncoder(
        hpack.huffman_constants.REQUEST_CODES, hpack.huffman_constants.REQUEST_CODES_LENGTH
    ).encode(value)
    return bytes((0x80 | len(coded),)) + coded if huffman else bytes((len(value),)) + value


def literals(first: int, by_name: bool, huffman: bool) -> bytes:
    """A field `user-agent` (58 in the static table) or `x-test`, in the form that begins with these bits."""
    if by_name:
        return bytes((first,)) + text(b"x-test", huffman) + text(b"ok", huffman)
    most = {0x40: 63, 0x00: 15, 0x10: 15}[first]
    name = bytes((first | 58,)) if most > 58 else bytes((first | most, 58 - most))
    return name + text(b"agent", huffman)


#: number and words of a case -> what is said after the preface and settings, and how it ends
CASES: dict[str, tuple[bytes, tuple[str, str]]] = {
    "generic/1/1 a preface": (b"", FINE),
    "generic/2/1 idle: PRIORITY": (priority(1, 0, 16), FINE),
    "generic/2/2 half closed: WINDOW_UPDATE": (WHOLE + window_update(1, 1), FINE),
    "generic/2/3 half closed: PRIORITY": (WHOLE + priority(1, 0, 16), FINE),
    "generic/2/4 half closed: RST_STREAM": (WHOLE + RESET, FINE),
    "generic/2/5 closed: PRIORITY": (WHOLE + RESET + priority(1, 0, 16), FINE),
    "generic/3.1/1 DATA": (OPEN + frame(DATA, END_STREAM, 1, b"test"), FINE),
    "generic/3.1/2 several": (OPEN + frame(DATA, 0, 1, b"te") + frame(DATA, END_STREAM, 1, b"st"), FINE),
    "generic/3.1/3 with padding": RULES["generic/3.1 DATA with padding"],
    "generic/3.2/1 HEADERS": (WHOLE, FINE),
    "generic/3.2/2 with padding": RULES["generic/3.2 HEADERS with padding"],
    "generic/3.2/3 with priority": RULES["generic/3.2 HEADERS with priority"],
    "generic/3.3/1 priority 1": (priority(1, 0, 1) + WHOLE, FINE),
    "generic/3.3/2 priority 256": (priority(1, 0, 256) + WHOLE, FINE),
    "generic/3.3/3 a dependency": (priority(1, 3, 256) + WHOLE, FINE),
    "generic/3.3/4 an exclusive one": (priority(1, 3, 256, exclusive=True) + WHOLE, FINE),
    "generic/3.3/5 of an idle stream, then HEADERS of a lower one": (priority(5, 0, 256) + headers(3), FINE),
    "generic/3.4/1 RST_STREAM": (OPEN + RESET, FINE),
    "generic/3.5/1 SETTINGS": RULES["generic/3.5 SETTINGS"],
    "generic/3.7/1 PING": RULES["generic/3.7 PING"],
    "generic/3.8/1 GOAWAY": RULES["generic/3.8 GOAWAY"],
    "generic/3.9/1 WINDOW_UPDATE": RULES["generic/3.9 WINDOW_UPDATE"],
    "generic/3.9/2 of a stream": (OPEN + window_update(1, 1), FINE),
    "generic/3.10/1 CONTINUATION": RULES["generic/3.10 CONTINUATION"],
    "generic/3.10/2 several": RULES["6.10/1 several CONTINUATION frames"],
    "generic/4/1 GET": (method(b"GET"), FINE),
    "generic/4/2 HEAD": (method(b"HEAD"), FINE),
    "generic/4/3 POST": (OPEN + frame(DATA, END_STREAM, 1, b"test"), FINE),
    "generic/4/4 POST with trailers": (OPEN + frame(DATA, 0, 1, b"test") + TRAILERS, FINE),
    "generic/5/1 an indexed field": (headers(1, payload=block(base=PATH) + indexed(4)), FINE),
    **{
        f"generic/5/{number} {words}, {name}{', Huffman' if huffman else ''}": (
            field(literals(first, name == "a new name", huffman)), FINE)
        for number, (first, words, name, huffman) in enumerate(
            (
                (first, words, name, huffman)
                for first, words in ((0x40, "indexed from now on"), (0x00, "not indexed"), (0x10, "never indexed"))
                for name in ("an indexed name", "a new name")
                for huffman in (False, True)
            ),
            2,
        )
    },
    "generic/5/14 the table's size": (headers(1, payload=b"\x20" + block()), FINE),
    "generic/5/15 several sizes": (headers(1, payload=b"\x20\x3f\xe1\x1f" + block()), FINE),
    "5.1/8 closed: DATA after RST_STREAM": (OPEN + RESET + frame(DATA, END_STREAM, 1, b"x"), STREAM_CLOSED),
    "5.1/9 closed: HEADERS after RST_STREAM": (OPEN + RESET + WHOLE, STREAM_CLOSED),
    "5.1/10 closed: CONTINUATION after RST_STREAM": (
        OPEN + RESET + frame(CONTINUATION, END_HEADERS, 1, block()), PROTOCOL),
    "5.4.1/1 an invalid PING, and the connection ends": (frame(PING, 0, 3, b"\0" * 8), PROTOCOL),
    "5.4.1/2 an invalid PING, and GOAWAY comes": (frame(PING, 0, 3, b"\0" * 8), PROTOCOL),
    "6.2/2 HEADERS without END_HEADERS, then HEADERS of another stream": (HALF + headers(3), PROTOCOL),
    "hpack/6.1/1 index 0": RULES["hpack/6.1"],
    "6.7/1 PING": (frame(PING, 0, 0, b"h2spec__"), FINE),
}  # fmt: skip

#: cases that end in what is answered, by the test below, or elsewhere, that has them
ANSWERED = ("5.1.2/1", "6.5.3/1", "6.5.3/2", "6.9.1/1", "6.9.2/1", "6.9.2/2", "5.1/11", "5.1/12", "5.1/13")


@pytest.mark.parametrize("case", CASES)
def test_a_case(case: str) -> None:
    said, ends = CASES[case]
    talk = Talk()
    assert talk.ends(said) == ends
    if ends[0] != "connection":  # others are served on
        assert talk.ends(headers(9, payload=block())) == FINE
        assert talk.app.begun[-1].id == 9


def test_every_case_is_somewhere() -> None:
    cases = {f"{section}/{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)}
    assert len(cases) == 147
    rows = {row.split()[0] for row in (*CASES, *RULES)} | set(ANSWERED)
    source = Path(test_connection.__file__).read_text()
    rows |= set(re.findall(r'id="(3\.5/\d)', source))
    damaged = Path(test_hpack.__file__).read_text()
    of_hpack = {f"hpack/{each}" for each in re.findall(r'id="(\d\.\d(?:\.\d)?) ', damaged)}
    left = cases - rows
    assert {each for each in left if each.rpartition("/")[0] not in of_hpack} == set()


def answered(talk: Talk, body: bytes = b"x") -> list[tuple[int, int, int, bytes]]:
    talk.http.answer(talk.http.streams[1], b"\x88", body, b"\x89")
    return talk.heard()


def test_5_1_11_to_13_what_comes_on_a_stream_that_both_have_closed() -> None:
    for late, ends in (
        (frame(DATA, END_STREAM, 1, b"x"), CLOSED),
        (WHOLE, CLOSED),
        (frame(CONTINUATION, END_HEADERS, 1, block()), PROTOCOL),
    ):
        talk = Talk()
        talk.said(WHOLE)
        answered(talk)
        assert talk.ends(late) == ends


def test_5_1_2_1_more_streams_than_there_may_be() -> None:
    talk = Talk()
    (most,) = (value for name, value in _greeting() if name == frames.MAX_CONCURRENT_STREAMS)
    talk.said(b"".join(headers(number, END_HEADERS) for number in range(1, 2 * most, 2)))
    assert talk.heard() == []
    assert talk.ends(headers(2 * most + 1, END_HEADERS)) == ("stream", "REFUSED_STREAM")


def _greeting() -> list[tuple[int, int]]:
    talk = Talk(hello=b"")
    fresh = type(talk.http)(talk.app, talk.http._limits, lambda: 0.0)
    return frames.read_settings(fresh.out.frames[0][9:])


def test_6_5_3_settings_hold_in_order_and_are_acknowledged_once() -> None:
    talk = Talk()
    sizes = struct.pack(">HLHL", frames.INITIAL_WINDOW_SIZE, 100, frames.INITIAL_WINDOW_SIZE, 1)
    talk.said(frame(SETTINGS, 0, 0, sizes) + WHOLE)
    assert talk.heard() == [(SETTINGS, ACK, 0, b"")]
    assert [len(payload) for kind, _, _, payload in answered(talk) if kind == DATA] == [1]


def test_6_9_1_1_no_more_is_sent_than_the_window() -> None:
    talk = Talk()
    talk.said(frame(SETTINGS, 0, 0, struct.pack(">HL", frames.INITIAL_WINDOW_SIZE, 1)) + WHOLE)
    talk.heard()
    assert [payload for kind, _, _, payload in answered(talk, b"hello") if kind == DATA] == [b"h"]


def test_6_9_2_the_window_may_change_and_be_negative() -> None:
    talk = Talk()
    talk.said(frame(SETTINGS, 0, 0, struct.pack(">HL", frames.INITIAL_WINDOW_SIZE, 3)) + WHOLE)
    talk.heard()
    assert [payload for kind, _, _, payload in answered(talk, b"hello") if kind == DATA] == [b"hel"]
    talk.said(frame(SETTINGS, 0, 0, struct.pack(">HL", frames.INITIAL_WINDOW_SIZE, 2)))  # the window is -1 now
    talk.said(window_update(1, 1))
    assert [kind for kind, _, _, _ in talk.heard() if kind == DATA] == []
    talk.said(window_update(1, 1))
    assert [payload for kind, _, _, payload in talk.heard() if kind == DATA] == [b"l"]
    talk.said(frame(SETTINGS, 0, 0, struct.pack(">HL", frames.INITIAL_WINDOW_SIZE, 3)))
    assert [payload for kind, _, _, payload in talk.heard() if kind == DATA] == [b"o"]


def test_streams_that_were_reset_are_remembered_in_bounds() -> None:
    """A client has a thousand streams a second reset for ever: what is known of them does not grow."""
    talk = Talk()
    most = 2 * talk.http._limits.max_streams
    number = 1
    while number < 4 * most:
        talk.said(b"".join(headers(each, payload=block((b"A", b""))) for each in range(number, number + 1000, 2)))
        number += 1000
        talk.now += 1.1
    talk.heard()
    assert not talk.http.failed
    assert len(talk.http._gone) <= most
