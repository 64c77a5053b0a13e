"""Chats that are streamed are read as they come: how many tokens, when, and why there are none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from bench.token_streams import Arrivals, Chat, Streamed, StreamFailed, by_clients

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def event(text: str = "", tokens: int | None = None) -> bytes:
    choices = [{"delta": {"content": text}}] if tokens is None else []
    usage = {} if tokens is None else {"usage": {"completion_tokens": tokens}}
    return b"data: " + json.dumps({"choices": choices, **usage}).encode() + b"\n\n"


def chunked(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part)


def asked(chats: Sequence[Chat], clients: int, answer: bytes) -> tuple[Streamed, list[dict[str, object]]]:
    """What came, and the bodies that were sent."""
    bodies: list[dict[str, object]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        bodies.append(json.loads(await reader.readexactly(length)))
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def run() -> Streamed:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await by_clients(port, "/chat", chats, clients, {"model": "m"})

    return asyncio.run(run()), bodies


def test_each_chat_is_asked_once_and_its_tokens_are_the_servers_count() -> None:
    parts = [event("a"), event(""), event("b"), event(tokens=7), DONE]
    found, bodies = asked([Chat(f"hello {each}", 7) for each in range(5)], 2, HEAD + b"".join(map(chunked, parts)))
    assert [len(chat.parts) for chat in found.chats] == [2] * 5
    assert [chat.tokens for chat in found.chats] == [7] * 5
    assert all(body["max_tokens"] == 7 and body["model"] == "m" and body["stream"] for body in bodies)
    assert {body["messages"][0]["content"] for body in bodies} == {f"hello {each}" for each in range(5)}  # type: ignore[index]


def test_parts_count_where_the_server_does_not() -> None:
    found, _ = asked([Chat("hello", 2)], 1, HEAD + b"".join(map(chunked, [event("a"), event("b"), DONE])))
    assert found.chats[0].tokens == 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\ntoo long", "answered HTTP/1.1 400 Bad Request: .*too long"),
        (HEAD + chunked(event("a")), "broke off"),
        (HEAD + chunked(DONE), "no text came"),
        (HEAD + chunked(b'data: {"error": {"message": "died"}}\n\n'), "died"),
    ],
)
def test_what_fails_is_told(answer: bytes, told: str) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(StreamFailed, match=f"(?s){told}")):
        asked([Chat("hello", 2)], 1, answer)


def test_figures() -> None:
    chats = [Arrivals(0.0, [1.0, 1.5, 2.5], 4), Arrivals(1.0, [3.0, 3.25], 2)]
    found = Streamed(chats, 3.0)
    assert found.tokens_a_second == 2
    assert (found.first(0), found.first(99)) == (1000, 2000)
    assert (found.between(0), found.between(99)) == (250, 1000)
