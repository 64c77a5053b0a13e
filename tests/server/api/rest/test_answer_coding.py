"""Answers are compressed as `Accept-Encoding` weighs it, and only where it is worth it."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest

from server.api.rest import answer_coding
from server.api.rest.answer_coding import OFFERED, Accepted, accepted, compressed, compressing
from server.inference.answer import Answer

READ = {b"gzip": gzip.decompress, b"deflate": zlib.decompress}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("gzip", Accepted("gzip")),
        (" GZIP ", Accepted("gzip")),
        ("x-gzip", Accepted("gzip")),
        ("deflate", Accepted("deflate")),
        ("gzip, deflate", Accepted("gzip", OFFERED)),
        ("gzip, deflate, br, zstd", Accepted("gzip", OFFERED)),
        ("deflate, br", Accepted("deflate", OFFERED)),
        ("gzip;q=0.2, deflate;q=0.8", Accepted("deflate")),
        ("gzip; q=1.0, identity; q=0.5", Accepted("gzip")),
        ("*", Accepted("gzip")),
        ("*;q=0.1", Accepted("gzip")),
        ("gzip;q=0, *", Accepted("deflate")),
        ("deflate;q=0.5, *;q=0.1", Accepted("deflate")),
    ],
)
def test_what_a_client_accepts(value: str, found: Accepted) -> None:
    assert accepted(value) == found


@pytest.mark.parametrize(
    "value",
    ["", "identity", "br", "br, zstd", "gzip;q=0", "gzip;q=0.000, deflate;q=0", "*;q=0", "gzip;q=0.3, identity",
     "gzip;q=2", "gzip;q=x", "gzip;level=9", ",,;", "x" * 5000],
)  # fmt: skip
def test_what_is_answered_as_it_is(value: str) -> None:
    assert not accepted(value).coding


@pytest.mark.parametrize("size", [1, answer_coding._SMALL + 1])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_an_answer_in_a_coding(size: int, coding: str) -> None:
    answer = Answer(200, [(b"x", b"y"), (b"content-length", b"%d" % size)], b"a" * size)
    packed = asyncio.run(compressed(answer, coding))
    assert READ[coding.encode()](packed.body) == answer.body
    assert packed.headers == [
        (b"x", b"y"),
        (b"content-length", b"%d" % len(packed.body)),
        (b"content-encoding", coding.encode()),
        (b"vary", b"Accept-Encoding"),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, [], b""),
        Answer(204, [], b"x" * OFFERED),
        Answer(206, [], b"x" * OFFERED),
        Answer(200, [(b"Content-Encoding", b"br")], b"x" * OFFERED),
    ],
)
def test_what_cannot_be_compressed_stays(answer: Answer) -> None:
    assert asyncio.run(compressed(answer, "gzip")) is answer


def through(value: str | None, *messages: dict[str, Any]) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if value is None else [(b"accept-encoding", value.encode())]

    async def run() -> None:
        packing = compressing({"headers": headers}, send)
        for message in messages:
            await packing(message)

    asyncio.run(run())
    return sent


def start(length: int) -> dict[str, Any]:
    return {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % length)]}


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


@pytest.mark.parametrize(
    ("value", "size", "packed"),
    [("gzip", 10, True), ("gzip, br", OFFERED, True), ("gzip, br", OFFERED - 1, False), ("br", OFFERED, False)],
)
def test_a_plain_list_is_an_offer_for_large_answers(value: str, size: int, packed: bool) -> None:
    body = b"a" * size
    begun, whole = through(value, start(size), part(body))
    headers = dict(begun["headers"])
    assert (b"content-encoding" in headers) == packed
    assert headers[b"content-length"] == b"%d" % len(whole["body"])
    assert (gzip.decompress(whole["body"]) if packed else whole["body"]) == body


@pytest.mark.parametrize("value", [None, "gzip"])
def test_answers_in_parts_are_sent_as_they_are_made(value: str | None) -> None:
    messages = [start(6), part(b"abc", more=True), part(b"def")]
    assert through(value, *messages) == messages
    begun = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
    assert through(value, begun) == [begun]  # before there is a part
