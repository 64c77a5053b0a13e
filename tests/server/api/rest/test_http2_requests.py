"""A request over HTTP/2 is answered as the same over HTTP/1.1; bodies and answers wait for whoever is slower."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from server.api.http2 import frames
from server.api.http2.frames import END_HEADERS, END_STREAM, RST_STREAM, ErrorCode, frame
from server.api.rest.bounded_protocol import Bounds
from server.api.rest.limits import HttpLimits
from server.api.rest.manners import Manners
from server.api.rest.routes import Routes
from server.repository.repository import Repository
from tests.patience import becomes
from tests.server.api.http2.client import HELLO, block, headers
from tests.server.api.rest.test_fast_protocol import CORPUS, MAX_BODY, ONE, V1, behind
from tests.server.api.rest.test_fast_protocol import repository as repository
from tests.server.api.test_shared_port import SharedSite, shared_site, who

#: about one connection, or about when
_OF_THE_MOMENT = ("connection", "date", "transfer-encoding")


def comparable(answer: httpx.Response) -> Any:
    found = [(name, value) for name, value in answer.headers.items() if name not in _OF_THE_MOMENT]
    body: Any = answer.content
    if answer.headers.get("content-type") == "application/json":
        body = answer.json()
        if isinstance(body, dict) and "-" in str(body.get("id")):  # made up where the request has none
            body, found = {**body, "id": ""}, [each for each in found if each[0] != "content-length"]
    return answer.status_code, found, body


def sent(request: Any, chunked: bool) -> dict[str, Any]:
    path, body, *lines = request

    async def parts() -> AsyncIterator[bytes]:
        yield body

    pairs = [tuple(part.encode() for part in line.split(": ", 1)) for line in lines]
    return {"url": path, "content": parts() if chunked else body, "headers": pairs}


@pytest.mark.parametrize("chunked", [False, True], ids=["a length", "no length"])
def test_both_versions_answer_the_same(repository: Repository, chunked: bool) -> None:
    async def ask() -> None:
        routes: Any = Routes(behind, repository, MAX_BODY, bodies=Bounds().bodies)
        async with shared_site(Manners(routes), repository) as site, site.http(1) as one, site.http(2) as two:
            for request in CORPUS * 2:  # the second time the heads are known
                if request[0].startswith("http:"):
                    continue
                first, second = [await each.post(**sent(request, chunked)) for each in (one, two)]
                assert (first.http_version, second.http_version) == ("HTTP/1.1", "HTTP/2")
                assert comparable(first) == comparable(second), request

    asyncio.run(ask())


def test_many_at_once_each_get_their_own(repository: Repository) -> None:
    async def run() -> None:
        routes: Any = Routes(behind, repository, MAX_BODY, bodies=Bounds().bodies)
        async with shared_site(Manners(routes), repository) as site, site.http(2) as client:
            rows = range(200)
            bodies = [b'{"instances": [[%d, 2]]}' % row for row in rows]
            at_once = asyncio.Semaphore(40)  # as many as may wait, however slow the machine is

            async def ask(body: bytes) -> Any:
                async with at_once:
                    return (await client.post(V1, content=body)).json()

            answers = await asyncio.gather(*map(ask, bodies))
            assert answers == [{"predictions": [[2.0 * row, 4.0]]} for row in rows]
            await becomes(lambda: not site.rest.server.server_state.connections)

    asyncio.run(run())


def streams(site: SharedSite) -> list[Any]:
    """Those that clients have open by now."""
    return [each for client in site.native._clients for each in client.http.streams.values()]


class Paced:
    """An application whose answers and bodies wait for the test."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.sent = self.read = 0
        self.ended = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await {"/parts": self.parts, "/slow": self.slow, "/none": self.none}[scope["path"]](receive, send)
        except OSError:
            self.ended = "gone"
            raise

    async def parts(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-parts", b"yes")]})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x" * 50_000, "more_body": True})
            self.sent += 1
            await asyncio.sleep(0)  # what is written in one turn goes out in one piece
        await send({"type": "http.response.body", "body": b""})
        self.ended = "whole"

    async def slow(self, receive: Any, send: Any) -> None:
        await self.gate.wait()
        while (message := await receive()).get("more_body"):
            self.read += len(message["body"])
        self.read += len(message.get("body", b""))
        if message["type"] == "http.disconnect":
            self.ended = "told"
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
        self.ended = "whole"

    async def none(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b"1")]})
        await send({"type": "http.response.body"})


def test_an_answer_in_parts_comes_whole() -> None:
    async def ask() -> None:
        app = Paced()
        async with shared_site(app) as site, site.http(2) as client:
            answer = await client.get("/parts")
            assert (answer.content, answer.headers["x-parts"]) == (b"x" * 5_000_000, "yes")
            assert "transfer-encoding" not in answer.headers
            empty = await client.get("/none")
            assert (empty.status_code, empty.headers["etag"], empty.content) == (304, "1", b"")

    asyncio.run(ask())


async def raw(site: SharedSite, path: bytes, *more: bytes, flags: int = END_HEADERS | END_STREAM) -> Any:
    """A connection on which one request was begun, and nothing is read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(HELLO + headers(1, flags, block(base=path_of(path))) + b"".join(more))
    return reader, writer


def path_of(path: bytes) -> list[tuple[bytes, bytes]]:
    return [(b":method", b"GET"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x")]


def test_its_maker_waits_for_a_client_that_does_not_read_and_hears_of_one_that_leaves() -> None:
    async def ask() -> None:
        app = Paced()
        async with shared_site(app) as site:
            reader, writer = await raw(site, b"/parts")
            await becomes(lambda: app.sent)
            (protocol,) = site.rest.server.server_state.connections
            await becomes(lambda: protocol.flow.write_paused)
            assert app.sent < 20  # the client's window, what may wait, and what uvicorn gathers
            writer.write(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"))
            await becomes(lambda: app.ended)  # uvicorn lets it go on, and sends nothing
            await becomes(lambda: not site.rest.server.server_state.connections)
            writer.close()
            del reader

    asyncio.run(ask())


def test_a_body_waits_for_who_reads_it() -> None:
    async def ask() -> None:
        app = Paced()
        async with shared_site(app) as site, site.http(2) as client:
            sending = asyncio.create_task(client.post("/slow", content=b"x" * 5_000_000))
            await becomes(lambda: [each.receive_window for each in streams(site)] == [0])
            (protocol,) = site.rest.server.server_state.connections
            assert protocol.flow.read_paused
            app.gate.set()
            assert (await sending).status_code == 200
            assert app.read == 5_000_000

    asyncio.run(ask())


@pytest.mark.parametrize("length", [0, 4])
def test_it_is_answered_when_the_client_has_ended_it(length: int) -> None:
    """Some say so in a frame of its own, behind the last byte: an answer before that would be taken for a refusal."""

    async def ask() -> None:
        app = Paced()
        app.gate.set()
        async with shared_site(app) as site:
            fields = block((b"content-length", b"%d" % length), base=path_of(b"/slow"))
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            body = frame(frames.DATA, 0, 1, b"four") if length else b""
            writer.write(HELLO + headers(1, END_HEADERS, fields) + body)
            await becomes(lambda: streams(site) and streams(site)[0].left == 0)
            assert not app.ended
            writer.write(frame(frames.DATA, END_STREAM, 1))
            heard = b""
            while frame(frames.DATA, END_STREAM, 1) not in heard:
                received = await asyncio.wait_for(reader.read(65_536), 60)
                assert received, heard
                heard += received
            assert frames.rst_stream(1, ErrorCode.NO_ERROR) not in heard
            writer.close()

    asyncio.run(ask())


def test_who_leaves_with_half_a_body_is_told_of() -> None:
    async def ask() -> None:
        app = Paced()
        app.gate.set()
        async with shared_site(app) as site:
            _, writer = await raw(site, b"/slow", frame(frames.DATA, 0, 1, b"x" * 100), flags=END_HEADERS)
            await becomes(lambda: app.read == 100)
            writer.close()
            await becomes(lambda: app.ended)
            assert app.ended == "told"

    asyncio.run(ask())


def test_streams_are_connections_and_there_is_room_for_so_many() -> None:
    async def ask() -> None:
        app = Paced()
        async with shared_site(app, limits=HttpLimits(max_connections=1)) as site, site.http(2) as client:
            first = asyncio.create_task(client.post("/slow", content=b"x"))
            await becomes(lambda: any(each.remote_closed for each in streams(site)))
            refused = await client.get("/parts")
            assert (refused.status_code, "max_connections" in refused.text) == (503, True)
            app.gate.set()
            assert (await first).status_code == 200

    asyncio.run(ask())


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def ask() -> None:
        limits = HttpLimits(body_timeout=0.3)
        app = Paced()
        app.gate.set()
        async with shared_site(app, limits=limits) as site:
            reader, writer = await raw(site, b"/slow", flags=END_HEADERS)
            heard = b""
            while b"body_timeout" not in heard:
                received = await asyncio.wait_for(reader.read(65_536), 60)
                assert received, heard
                heard += received
            writer.close()

    asyncio.run(ask())


def test_head_has_no_body() -> None:
    async def ask() -> None:
        async with shared_site(who) as site, site.http(2) as client:
            answer = await client.head("/x")
            assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "12", b"")
            assert (await client.get("/x")).text == "GET /x http"

    asyncio.run(ask())


def test_an_answer_that_is_cut_is_a_stream_that_is_reset() -> None:
    async def cut(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"four", "more_body": True})
        raise ValueError("a failure in the middle")

    async def ask() -> None:
        async with shared_site(cut) as site, site.http(2) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/x")

    asyncio.run(ask())


def test_a_head_that_no_client_takes_is_an_error() -> None:
    async def large(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"x-a", b"x" * 20_000), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body"})

    async def ask() -> None:
        async with shared_site(large) as site, site.http(2) as client:
            assert (await client.get("/x")).status_code == 502

    asyncio.run(ask())


def test_a_client_that_expects_100_is_told_to_go_on() -> None:
    async def ask() -> None:
        async with shared_site(who) as site, site.http(2) as client:
            answer = await client.post("/x", content=b"body", headers={"expect": "100-continue"})
            assert answer.text == "POST /x http"

    asyncio.run(ask())


def test_what_is_no_request_of_http_1_is_reset() -> None:
    async def ask() -> None:
        async with shared_site(who) as site:
            reader, writer = await raw(site, b"/a HTTP/1.1")
            heard = b""
            while frames.rst_stream(1, ErrorCode.PROTOCOL_ERROR) not in heard:
                received = await asyncio.wait_for(reader.read(65_536), 60)
                assert received, heard
                heard += received
            writer.close()

    asyncio.run(ask())


def test_the_short_way_is_there(repository: Repository) -> None:
    """`behind` would say 404: nothing reaches the application."""

    async def ask() -> None:
        async with shared_site(behind, repository) as site, site.http(2) as client:
            answer = await client.post(V1, content=ONE)
            assert answer.json() == {"predictions": [[2.0, 4.0]]}

    asyncio.run(ask())


def test_a_stop_lets_what_is_under_way_end() -> None:
    async def ask() -> None:
        app = Paced()
        async with shared_site(app) as site:
            reader, writer = await raw(site, b"/slow")
            await becomes(lambda: streams(site))
            leaving = asyncio.create_task(site.native.leave(60))
            await becomes(lambda: site.native._leaving)
            app.gate.set()
            heard = b""
            while frame(frames.DATA, END_STREAM, 1) not in heard:
                received = await asyncio.wait_for(reader.read(65_536), 60)
                assert received, heard
                heard += received
            assert frames.goaway(frames.LAST_STREAM, ErrorCode.NO_ERROR) in heard
            writer.close()
            await leaving

    asyncio.run(ask())


def test_its_state_is_that_of_a_connection() -> None:
    """`SimpleNamespace` stands for a stream: what the transport says of itself."""
    from server.api.rest.http2_requests import Http2Request

    stream: Any = SimpleNamespace(head=None, unsent=7)
    link: Any = SimpleNamespace(extra=lambda name: {"peername": ("a", 1)}.get(name))
    request = Http2Request(None, link, stream)
    assert request.get_extra_info("peername") == ("a", 1)
    assert request.get_extra_info("other", 3) == 3
    assert request.get_write_buffer_size() == 7
    assert not request.can_write_eof()
    assert not request.is_closing()
