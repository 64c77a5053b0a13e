"""Answers in parts as events: framed, ended by an error or by who leaves, and closed in any case."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from server.api.rest.asgi import AsgiMessage
from server.api.rest.event_stream import KEEP_ALIVE, NamedEvent, event, send_events
from server.errors import InvalidInput
from server.inference.answer import StreamedAnswer
from tests.patience import becomes


class Talk:
    """One client's connection: what was sent to it, and when it leaves."""

    def __init__(self) -> None:
        self.sent: list[AsgiMessage] = []
        self.left = asyncio.Event()

    async def send(self, message: AsgiMessage) -> None:
        self.sent.append(message)

    async def receive(self) -> AsgiMessage:
        await self.left.wait()
        return {"type": "http.disconnect"}

    @property
    def events(self) -> list[bytes]:
        return [message["body"] for message in self.sent[1:]]


def talk(parts: AsyncGenerator[bytes, None], headers: Any = ()) -> Talk:
    async def main() -> Talk:
        client = Talk()
        await send_events(client.receive, client.send, StreamedAnswer([*headers], parts))
        return client

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("document", "framed"),
    [(b"{}", b"data: {}\n\n"), (b"{\n}", b"data: {\ndata: }\n\n"), (b"", b"data: \n\n")],
)
def test_a_document_is_one_event(document: bytes, framed: bytes) -> None:
    assert event(document) == framed


def test_every_part_is_an_event_of_its_own() -> None:
    async def parts() -> AsyncGenerator[bytes, None]:
        yield b"1"
        yield b"2"

    client = talk(parts(), [(b"x-a", b"b"), (b"content-type", b"text/plain")])
    assert client.events == [b"data: 1\n\n", b"data: 2\n\n", b""]
    assert not client.sent[-1].get("more_body")
    headers = client.sent[0]["headers"]
    assert [value for name, value in headers if name == b"content-type"] == [b"text/event-stream; charset=utf-8"]
    assert (b"x-a", b"b") in headers


@pytest.mark.parametrize(("error", "logged"), [(InvalidInput("too long"), False), (KeyError("a fault"), True)])
def test_an_error_is_the_last_event(error: Exception, logged: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def parts() -> AsyncGenerator[bytes, None]:
        yield b"1"
        raise error

    first, last, end = talk(parts()).events
    assert (first, end) == (b"data: 1\n\n", b"")
    assert json.loads(last.removeprefix(b"data: "))["error"]
    assert ("a stream failed" in caplog.text) == logged


def test_who_leaves_ends_the_work() -> None:
    ended: list[str] = []

    async def parts() -> AsyncGenerator[bytes, None]:
        try:
            yield b"1"
            await asyncio.Event().wait()
        finally:
            ended.append("yes")

    async def main() -> None:
        client = Talk()
        sending = asyncio.create_task(send_events(client.receive, client.send, StreamedAnswer([], parts())))
        await becomes(lambda: client.events == [b"data: 1\n\n"])
        client.left.set()
        await sending
        assert ended == ["yes"]

    asyncio.run(main())


def test_what_keeps_a_connection_is_no_event() -> None:
    async def parts() -> AsyncGenerator[bytes, None]:
        yield KEEP_ALIVE
        yield b": a document that only looks like it"

    comment, document, _ = talk(parts()).events
    assert comment.startswith(b": ")
    assert comment.endswith(b"\n\n")
    assert document == b"data: : a document that only looks like it\n\n"


def test_events_with_names() -> None:
    assert event(NamedEvent("response.created", b"{}")) == b"event: response.created\ndata: {}\n\n"
