"""What a client may send is bounded, and what is beyond a bound is refused by its name while others are answered."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from server.api.rest.bounded_protocol import MOST_EARLY, BoundedProtocol
from server.api.rest.limits import MOST_DROPPED, HttpLimits
from server.repository.repository import Repository
from tests.patience import becomes
from tests.server.api.rest.test_fast_protocol import ONE, PATIENCE, TENSORS, V1, V2, Answer, Site, post, read, site
from tests.server.api.rest.test_fast_protocol import repository as repository

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
RIGHT = b'{"predictions":[[2.0,4.0]]}'
#: bytes that a read from a socket brings, at most
ONE_READ = 300_000


def run(repository: Repository, test: Callable[[Site], Awaitable[None]], limits: HttpLimits | None = None) -> None:
    async def serve() -> None:
        async with site(repository, limits) as here, asyncio.timeout(PATIENCE):
            await test(here)

    asyncio.run(serve())


class Client:
    """A connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, here: Site) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", here.port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        return await read(self.reader)

    async def end(self) -> None:
        """Until the server has closed it, and nothing more has come."""
        with suppress(ConnectionResetError):
            assert await self.reader.read() == b""
        await self.leave()

    async def leave(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def protocols(here: Site) -> list[Any]:
    return list(here.server.server_state.connections)


def error(answer: Answer) -> str:
    return str(json.loads(answer.body)["error"])


# heads


def head(*lines: str) -> bytes:
    return "\r\n".join([f"POST {V1} HTTP/1.1", "Host: x", *lines, f"Content-Length: {len(ONE)}", "", ""]).encode()


CHUNKED = f"POST {V1} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
LARGE = [
    pytest.param(head("X: " + "a" * 2000), id="a header"),
    pytest.param(head(*(f"X-{number}: a" for number in range(200))), id="many headers"),
    pytest.param(f"GET /{'a' * 2000} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), id="a path"),
    pytest.param(b"GET / HTTP/1.1\r\nX: " + b"a" * 2000, id="a header that does not end"),
    pytest.param(b"GET /" + b"a" * 2000, id="a path that does not end"),
    pytest.param(
        f"POST {V1} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: {'a' * 4000}".encode(),
        id="a trailer",
    ),
    pytest.param(
        f"POST {V1} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;{'a' * 4000}".encode(), id="an extension"
    ),
]


@pytest.mark.parametrize("sent", LARGE)
@pytest.mark.parametrize("step", [10**6, 300])
def test_a_head_of_too_many_bytes_is_refused(repository: Repository, sent: bytes, step: int) -> None:
    async def ask(here: Site) -> None:
        client = await Client.of(here)
        for start in range(0, len(sent), step):
            client.writer.write(sent[start : start + step])
            await asyncio.sleep(0)
        answer = await client.answer()
        assert answer.status.startswith("HTTP/1.1 431 ")
        assert "more than 1000 bytes (max_head_bytes)" in error(answer)
        assert answer.headers["connection"] == "close"
        await client.end()
        assert (await here.ask(post(V1, ONE)))[0].body == RIGHT

    run(repository, ask, HttpLimits(max_head_bytes=1000))


def test_too_many_headers_are_refused(repository: Repository) -> None:
    async def ask(here: Site) -> None:
        for count, status in ((17, "200"), (18, "431")):
            (answer,) = await here.ask(head(*(f"X-{number}: a" for number in range(count))) + ONE)
            assert answer.status.split()[1] == status
        assert "more than 19 headers (max_headers)" in error(answer)

    run(repository, ask, HttpLimits(max_headers=19))


def test_a_head_of_just_as_many_bytes_is_read(repository: Repository) -> None:
    async def ask(here: Site) -> None:
        for size in (900, 901):
            sent = head("X: " + "a" * (size - len(head("X: "))))
            assert len(sent) == size
            (answer,) = await here.ask(sent + ONE)
            assert answer.status.split()[1] == ("200" if size == 900 else "431")

    run(repository, ask, HttpLimits(max_head_bytes=900))


def test_a_trailer_is_no_header(repository: Repository) -> None:
    async def ask(here: Site) -> None:
        trailer = b"Content-Encoding: gzip\r\nInference-Header-Content-Length: 3\r\n\r\n"
        sent = f"POST {V2} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        (answer,) = await here.ask(sent + b"%x\r\n%b\r\n0\r\n" % (len(TENSORS), TENSORS) + trailer)
        assert answer.status == "HTTP/1.1 200 OK"

    run(repository, ask)


# offers of other protocols

OFFERS = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    "websocket": ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA"),
    "bare": ("Connection: upgrade", "Upgrade: h2c"),
    "several": ("Connection: keep-alive, Upgrade", "Upgrade: h2c", "Upgrade: websocket"),
}  # fmt: skip


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("step", [10**6, 7])
def test_an_offer_of_another_protocol_is_ignored(repository: Repository, offer: str, chunked: bool, step: int) -> None:
    async def ask(here: Site) -> None:
        if chunked:
            lines = [f"POST {V1} HTTP/1.1", "Host: x", *OFFERS[offer], "Transfer-Encoding: chunked", "", ""]
            sent = "\r\n".join(lines).encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(ONE), ONE)
        else:
            sent = post(V1, ONE, *OFFERS[offer])
        sent = sent + LIVE + post(V1, ONE)
        pieces = [sent[start : start + step] for start in range(0, len(sent), step)]
        answers = await here.ask(*pieces, answers=3)
        assert [answer.body for answer in answers] == [RIGHT, b'{"live":true}', RIGHT]
        assert {answer.status for answer in answers} == {"HTTP/1.1 200 OK"}

    run(repository, ask)


def test_an_offer_with_the_last_request_leaves_it_the_last(repository: Repository) -> None:
    async def ask(here: Site) -> None:
        client = await Client.of(here)
        await client.send(post(V1, ONE, "Connection: close, Upgrade", "Upgrade: h2c"))
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (RIGHT, "close")
        await client.end()

    run(repository, ask)


def test_a_tunnel_is_not_opened(repository: Repository) -> None:
    async def ask(here: Site) -> None:
        client = await Client.of(here)
        await client.send(b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n" + LIVE * 3)
        assert int((await client.answer()).status.split()[1]) >= 400
        await client.end()

    run(repository, ask)


# pipelines


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many requests wait behind each other, whenever one begins."""
    seen: list[int] = []
    original = BoundedProtocol.on_message_begin

    def note(self: BoundedProtocol) -> None:
        seen.append(len(self.pipeline))
        original(self)

    monkeypatch.setattr(BoundedProtocol, "on_message_begin", note)
    yield seen


FIRST = {
    "alone": b"",
    "chunked": b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "length": b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.slow
@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST.keys())
def test_small_requests_behind_each_other_wait(
    repository: Repository, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 4000

    async def ask(here: Site) -> None:
        client = await Client.of(here)
        client.writer.write((first + LIVE) * count)
        held = []
        for _ in range(count * (2 if first else 1)):
            assert (await client.answer()).headers["content-type"] == "application/json"
            held += [len(each._early) - each._early_at for each in protocols(here)]
        assert max(held) <= MOST_EARLY + ONE_READ
        await client.leave()

    with watched(monkeypatch) as waiting:
        run(repository, ask)
    assert max(waiting) < 40  # as many as fit into a slice


# bodies


def test_a_body_for_nobody_is_not_held(repository: Repository) -> None:
    async def ask(here: Site) -> None:
        client = await Client.of(here)
        await client.send(b"POST /v1/models/nobody:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n")
        assert (await client.answer()).status.startswith("HTTP/1.1 404 ")  # before there is any of it
        await client.send(b"x" * 4000 + post(V1, ONE))
        assert (await client.answer()).body == RIGHT
        await client.leave()

    run(repository, ask)


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [True, False])
def test_a_long_body_for_nobody_ends_its_connection(repository: Repository, chunked: bool) -> None:
    async def ask(here: Site) -> None:
        client = await Client.of(here)
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {10 * MOST_DROPPED}"
        await client.send(f"POST /v1/models/nobody:predict HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
        assert (await client.answer()).status.startswith("HTTP/1.1 404 ")
        piece = b"%x\r\n%b\r\n" % (65536, bytes(65536)) if chunked else bytes(65536)
        with suppress(OSError):  # reset, or broken
            while True:
                await client.send(piece)
                await asyncio.sleep(0)
        assert here.shared.bounds.bodies.held == 0
        await client.leave()

    run(repository, ask)


@pytest.mark.parametrize("way", ["short", "general"])
def test_bodies_that_do_not_fit_beside_others_are_refused(repository: Repository, way: str) -> None:
    """Three of them are being sent; then there is room again."""

    async def ask(here: Site) -> None:
        body = ONE + b" " * (3000 - len(ONE))
        path = V1 if way == "short" else V1 + "?a=b"
        bodies = here.shared.bounds.bodies
        clients = [await Client.of(here) for _ in range(3)]
        for number, client in enumerate(clients, 1):
            await client.send(post(path, body)[:-1])
            await becomes(lambda number=number: bodies.held >= 2999 * number)
        late = await Client.of(here)
        await late.send(post(path, body)[:-1])
        answer = await late.answer()
        assert answer.status.startswith("HTTP/1.1 503 ")
        assert "(max_bodies_bytes)" in error(answer)
        assert answer.headers["retry-after"] == "1"
        assert (await here.ask(LIVE))[0].status == "HTTP/1.1 200 OK"
        for client in clients[:2]:
            await client.send(body[-1:])
            assert (await client.answer()).body == RIGHT
        clients[2].writer.close()
        await becomes(lambda: bodies.held == 0)
        assert (await here.ask(post(path, body)))[0].body == RIGHT

    run(repository, ask, HttpLimits(max_bodies_bytes=9500))


def test_compressed_bodies_are_read(repository: Repository) -> None:
    async def ask(here: Site) -> None:
        packed = gzip.compress(ONE)
        bomb = gzip.compress(bytes(10**6))
        answers = await here.ask(
            post(V1, packed, "Content-Encoding: gzip"),
            post(V1, ONE, "Content-Encoding: identity"),
            post(V1, bomb, "Content-Encoding: gzip"),
            post(V1, ONE, "Content-Encoding: br"),
            answers=4,
        )
        assert [answer.status.split()[1] for answer in answers] == ["200", "200", "413", "415"]
        assert [answer.body for answer in answers[:2]] == [RIGHT] * 2
        (asked,) = await here.ask(post(V1, ONE, "Accept-Encoding: gzip"))
        assert asked.headers["content-encoding"] == "gzip"
        assert gzip.decompress(asked.body) == RIGHT
        (offered,) = await here.ask(post(V1, ONE, "Accept-Encoding: gzip, deflate, br"))
        assert offered.body == RIGHT

    run(repository, ask)


# time

SLOW = [
    pytest.param("head_timeout", b"POST ", "the head of the request has not come within 0.2 s", id="head"),
    pytest.param("body_timeout", post(V1, ONE)[:-1], "the body of the request has not come within", id="short way"),
    pytest.param(
        "body_timeout", post(V1 + "?a=b", ONE)[:-1], "the body of the request has not come within", id="general way"
    ),
    pytest.param("body_timeout", head("Expect: 100-continue"), "the body of the request has not come", id="expected"),
]


@pytest.mark.parametrize(("limit", "sent", "message"), SLOW)
def test_who_sends_too_slowly_is_told(repository: Repository, limit: str, sent: bytes, message: str) -> None:
    async def ask(here: Site) -> None:
        client = await Client.of(here)
        await client.send(LIVE + sent)
        await client.answer()
        if b"Expect" in sent:
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        answer = await client.answer()
        assert answer.status.startswith("HTTP/1.1 408 ")
        assert message in error(answer)
        assert f"({limit})" in error(answer)
        await client.end()
        await becomes(lambda: not protocols(here))

    run(repository, ask, HttpLimits(**{limit: 0.2}))


NOTHING = [
    ("first_byte_timeout", b""),
    ("first_byte_timeout", b"\r\n"),
    ("timeout_keep_alive", LIVE),
    ("timeout_keep_alive", post(V1, ONE)),
]


@pytest.mark.parametrize(("limit", "sent"), NOTHING)
def test_who_asks_nothing_is_closed_without_a_word(repository: Repository, limit: str, sent: bytes) -> None:
    async def ask(here: Site) -> None:
        client = await Client.of(here)
        await client.send(sent)
        if sent.strip():
            await client.answer()
        await client.end()

    run(repository, ask, HttpLimits(**{limit: 0.2}))


@pytest.mark.slow
def test_who_does_not_read_is_closed(repository: Repository) -> None:
    async def ask(here: Site) -> None:
        client = await Client.of(here)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(LIVE * 200_000)
        await becomes(lambda: not protocols(here))
        client.writer.transport.abort()

    run(repository, ask, HttpLimits(send_timeout=0.2))


# connections


def test_silent_and_slow_clients_make_room(repository: Repository) -> None:
    """Far more than there may be; whoever asks is answered meanwhile, and those half way are told why they go."""

    async def ask(here: Site) -> None:
        begun = await Client.of(here)
        await begun.send(b"POST /a HTTP/1.1\r\nX: ")
        sending = await Client.of(here)
        await sending.send(post(V1, ONE)[:-1])
        await becomes(lambda: all(each._in_message or each._head for each in protocols(here)))
        silent = []
        for _ in range(100):
            silent.append(await Client.of(here))
            assert (await here.ask(post(V1, ONE)))[0].body == RIGHT
            assert len(here.shared.bounds.connections) <= 16
        for client, what in ((begun, "head"), (sending, "body")):
            answer = await client.answer()
            assert answer.status.startswith("HTTP/1.1 503 ")
            assert f"(max_connections) are taken, and the {what}" in error(answer)
        for client in silent[:50]:
            await client.end()

    run(repository, ask, HttpLimits(max_connections=16))


def test_where_all_are_busy_a_newcomer_is_told(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "waits", lambda self, now: None)

    async def ask(here: Site) -> None:
        clients = [await Client.of(here) for _ in range(3)]
        for client in clients:
            await client.send(LIVE)
            await client.answer()
        late = await Client.of(here)
        answer = await late.answer()
        assert answer.status.startswith("HTTP/1.1 503 ")
        assert "all 3 connections that there may be (max_connections) are busy" in error(answer)
        await late.end()
        clients[0].writer.close()
        await becomes(lambda: len(here.shared.bounds.connections) == 2)
        assert (await here.ask(LIVE))[0].status == "HTTP/1.1 200 OK"

    run(repository, ask, HttpLimits(max_connections=3))


def test_nonsense_is_refused_and_leaves_no_trace(repository: Repository, caplog: pytest.LogCaptureFixture) -> None:
    async def ask(here: Site) -> None:
        for sent in (b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
            (answer,) = await here.ask(sent)
            assert answer.status.startswith("HTTP/1.1 400 ")
            assert error(answer).startswith("Invalid HTTP request received: Invalid ")

    with caplog.at_level("INFO"):
        run(repository, ask)
    assert not caplog.records


def test_nonsense_within_an_answered_body_ends_the_connection(repository: Repository, tmp_path: Path) -> None:
    """Nothing is written that could be taken for another answer."""

    async def ask(here: Site) -> None:
        client = await Client.of(here)
        await client.send(b"POST /v1/models/nobody:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert (await client.answer()).status.startswith("HTTP/1.1 404 ")
        await client.send(b"zz\r\n")
        await client.end()

    run(repository, ask)
