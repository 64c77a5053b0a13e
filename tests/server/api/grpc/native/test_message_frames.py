"""Messages are cut from a body however it comes, are counted while they are held, and unfold within a bound."""

from __future__ import annotations

import asyncio
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.bodies import Bodies
from server.api.grpc.native.message_frames import (
    OVERHEAD,
    FramedMessage,
    MessageError,
    MessageReader,
    deflated,
    framed,
    inflated,
    only_message,
)
from server.errors import Overloaded, TooLarge


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60))), st.integers(1, 30))
def test_messages_come_out_as_they_went_in(messages: list[tuple[bool, bytes]], size: int) -> None:
    bodies = Bodies(10**6)
    reader = MessageReader(100, bodies)
    body = b"".join(framed(raw, compressed) for compressed, raw in messages)
    found = []
    for at in range(0, len(body), size):
        found += reader.feed(body[at : at + size])
        assert bodies.held == min(len(body), at + size) + OVERHEAD * len(found)
    assert found == messages
    assert not reader.has_begun
    for each in found:
        reader.release(len(each.raw))
    assert bodies.held == 0


def test_too_much_is_refused_as_soon_as_it_is_said() -> None:
    bodies = Bodies(50)
    with pytest.raises(TooLarge, match=r"Received message larger than max \(11 vs. 10\)"):
        MessageReader(10, bodies).feed(framed(b"x" * 11)[:5])
    reader = MessageReader(-1, bodies)
    reader.feed(framed(b"x" * 100)[:40])
    with pytest.raises(Overloaded):
        reader.feed(b"x" * 40)
    with pytest.raises(MessageError, match="the byte 2"):
        MessageReader(10, Bodies()).feed(b"\2\0\0\0\0")
    reader.close()
    reader.close()
    assert bodies.held == 5  # of the reader that nobody has closed


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [0, 10, 65_535, 65_536, 65_537, 300_000])
def test_what_is_compressed_is_inflated(encoding: str, size: int) -> None:
    async def run() -> None:
        raw = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        message = FramedMessage(True, await deflated(raw, encoding))
        assert await inflated(message, encoding, size) == raw
        if size:
            with pytest.raises(TooLarge):
                await inflated(message, encoding, size - 1)
        with pytest.raises(MessageError):
            await inflated(FramedMessage(True, message.raw[:-3]), encoding, size)
        with pytest.raises(MessageError):
            await inflated(FramedMessage(True, message.raw + b"x"), encoding, size)

    asyncio.run(run())


def test_a_bomb_takes_no_memory() -> None:
    bomb = FramedMessage(True, zlib.compress(b"\0" * 10**8))
    with pytest.raises(TooLarge):
        asyncio.run(inflated(bomb, "deflate", 10**6))


@given(st.binary(max_size=30) | st.binary(max_size=30).map(framed), st.integers(0, 30))
def test_the_body_of_most_calls_is_known_at_a_glance(body: bytes, most: int) -> None:
    found = only_message(body, most)
    if found is not None:
        assert MessageReader(most, Bodies()).feed(body) == [(False, found)]
    elif body[:1] == b"\0" and len(body) >= 5:
        assert int.from_bytes(body[1:5], "big") != len(body) - 5 or len(body) - 5 > most
