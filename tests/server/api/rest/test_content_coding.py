"""Compressed bodies are inflated, no further than they may be, and answers are compressed for who asks for that."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib

import pytest

from server.api.bodies import Bodies
from server.api.rest.content_coding import coding_of, inflated
from server.errors import InvalidInput, Overloaded, TooLarge, UnknownCoding, respond

MOST = 1_000_000


def inflate(body: bytes, coding: str, most: int = MOST, room: int = 2 * MOST) -> bytes:
    bodies = Bodies(room)

    async def run() -> bytes:
        with bodies.share() as share:
            return await inflated(body, coding, most, share.take)

    try:
        return asyncio.run(run())
    finally:
        assert bodies.held == 0


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("data", [b"", b"{}", b"abc" * 1000, bytes(MOST)])
def test_what_was_compressed_comes_back(data: bytes) -> None:
    assert inflate(gzip.compress(data, mtime=0), "gzip") == data
    assert inflate(gzip.compress(data, mtime=0) + gzip.compress(data[:5], mtime=0), "gzip", MOST + 5) == data + data[:5]
    assert inflate(zlib.compress(data), "deflate") == data
    assert inflate(raw_deflate(data), "deflate") == data


@pytest.mark.parametrize("size", [0, 1, 100, 16 * 1024 - 1, 16 * 1024, 50_000])
def test_parts_end_anywhere_in_what_is_read_at_once(size: int) -> None:
    """Bytes that hardly get smaller, in parts of every size, the last of them empty, as `bgzip` writes it."""
    data = [random.Random(number).randbytes(size + number) for number in range(5)]
    body = b"".join(gzip.compress(each, 1, mtime=0) for each in [*data, b""])
    assert inflate(body, "gzip") == b"".join(data)
    assert inflate(raw_deflate(b"".join(data)), "deflate") == b"".join(data)


def test_parts_are_counted() -> None:
    """Each costs something, however little is in it: 100 MiB hold five million."""
    nothing = gzip.compress(b"", mtime=0)
    assert inflate(nothing * 10_000, "gzip") == b""
    with pytest.raises(InvalidInput, match=r"put together of more than 10000 parts \(Content-Encoding: gzip\)"):
        inflate(nothing * 10_001, "gzip")


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"{}", "gzip"),
        (b"{}", "deflate"),
        (gzip.compress(b"x" * 1000, mtime=0)[:-9], "gzip"),
        (zlib.compress(b"x" * 1000)[:-1], "deflate"),
        (gzip.compress(b"x", mtime=0) + b"trailing", "gzip"),
        (zlib.compress(b"x") + b"trailing", "deflate"),
        (gzip.compress(b"x", mtime=0), "deflate"),
    ],
)
def test_what_is_damaged_is_refused(body: bytes, coding: str) -> None:
    with pytest.raises(InvalidInput, match="Content-Encoding"):
        inflate(body, coding)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate])
def test_a_bomb_is_refused_when_it_has_reached_the_limit(compress, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    body = compress(bytes(50 * MOST))
    taken: list[int] = []

    async def run() -> bytes:
        return await inflated(body, "gzip" if compress is gzip.compress else "deflate", MOST, taken.append)

    with pytest.raises(TooLarge, match=r"more than 1000000 bytes when it is inflated \(max_body_bytes\)"):
        asyncio.run(run())
    assert sum(taken) <= MOST


def test_what_is_inflated_counts_among_all_bodies() -> None:
    with pytest.raises(Overloaded, match="max_bodies_bytes"):
        inflate(gzip.compress(bytes(MOST), mtime=0), "gzip", room=MOST // 2)


@pytest.mark.parametrize(
    ("value", "coding"),
    [(None, ""), ("identity", ""), (" GZIP ", "gzip"), ("x-gzip", "gzip"), ("deflate", "deflate"), ("", "")],
)
def test_which_codings_are_known(value: str | None, coding: str) -> None:
    assert coding_of(value) == coding


@pytest.mark.parametrize("value", ["br", "zstd", "gzip, gzip", "gzip, br", "compress", "gzip;q=1", "x" * 1000])
def test_others_are_refused_by_their_names(value: str) -> None:
    with pytest.raises(UnknownCoding, match="is not known: send the body as it is") as caught:
        coding_of(value)
    assert value[:20] in str(caught.value)
    status, headers, _ = respond(caught.value)
    assert status == 415
    assert (b"accept-encoding", b"gzip, deflate") in headers
