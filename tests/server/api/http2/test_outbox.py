"""What waits to be sent is counted, goes in order, and goes in turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.api.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS
from server.api.http2.outbox import Outbox, Stream
from tests.server.api.http2.client import split


def stream(number: int, window: int = 2**20) -> Stream:
    return Stream(number, None, window, 0, None)


def sent(out: Outbox) -> list[tuple[int, int, int, bytes]]:
    data, out.frames, out.size = b"".join(out.frames), [], 0
    return split(data)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.lists(st.integers(1, 60), max_size=30))
def test_parts_come_in_order_within_the_window(parts: list[bytes], windows: list[int]) -> None:
    out, one = Outbox(), stream(1, 0)
    for part in parts:
        out.data(one, part, 0.0)
    got = b""
    for window in windows:
        out.widen(one, window)
        out.pump(0.0)
        got += b"".join(payload for _, _, _, payload in sent(out))
    whole = b"".join(parts)
    assert got == whole[: sum(windows)]
    assert out.unsent == one.unsent == len(whole) - len(got)


def test_an_answer_ends_by_a_block_or_by_nothing() -> None:
    out = Outbox()
    out.end(1, b"\x88")
    out.end(3, b"")
    assert sent(out) == [(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88"), (DATA, END_STREAM, 3, b"")]


def test_it_is_told_when_something_was_read() -> None:
    out, one = Outbox(), stream(1, 0)
    out.data(one, b"abc", 1.0)
    out.pump(2.0)
    assert one.moved_at == 1.0
    out.widen(one, 1)
    assert out.pump(3.0) == []
    assert one.moved_at == 3.0
    out.widen(one, 2)
    assert out.pump(4.0) == [one]


def test_streams_take_turns() -> None:
    out = Outbox()
    out.window = 2**20
    for number in (1, 3):
        out.data(stream(number), b"x" * 200_000, 0.0)
    order = []
    while out.has_room:
        out.pump(0.0)
        order += [number for kind, _, number, _ in sent(out) if kind == DATA]
    assert order.index(3) < len(order) - 1 - order[::-1].index(1)


def test_a_whole_answer_goes_at_once_or_not_at_all() -> None:
    out, one = Outbox(), stream(1, 10)
    assert not out.at_once(one, b"h", b"x" * 11, b"t")
    assert out.at_once(one, b"h", b"x" * 10, b"t")
    assert [(kind, payload) for kind, _, _, payload in sent(out)] == [
        (HEADERS, b"h"),
        (DATA, b"x" * 10),
        (HEADERS, b"t"),
    ]


def test_what_is_dropped_counts_no_more() -> None:
    out, one, other = Outbox(), stream(1, 0), stream(3, 0)
    out.data(one, b"abc", 0.0)
    out.data(other, b"de", 0.0)
    out.drop(one)
    out.drop(one)
    assert out.unsent == 2
    out.resize(2**17, [other])
    assert out.pump(0.0) == [other]
