"""Chats that are streamed, and when each part of them came: what a user of a language model sees of its speed."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.streams import HEAD, percentile

PATIENCE = 900.0  #: seconds for one answer: a peer that answers one after the other lets the last wait for long
_LONGEST_LINE = 1 << 20


class StreamFailed(Exception):
    """A chat was refused, or its stream broke off."""


@dataclass(frozen=True)
class Chat:
    """What is asked: the text of one user's message, and how many tokens are to be made."""

    text: str
    tokens: int


@dataclass(frozen=True)
class Arrivals:
    """When a request was sent, and when each part with a text came, in seconds of one clock."""

    sent: float
    parts: Sequence[float]
    tokens: int  #: as the server counts them; the number of parts where it does not

    @property
    def first(self) -> float:
        """Milliseconds to the first part."""
        return 1000 * (self.parts[0] - self.sent)

    @property
    def between(self) -> list[float]:
        """Milliseconds from each part to the next."""
        return [1000 * (after - before) for before, after in itertools.pairwise(self.parts)]


@dataclass(frozen=True)
class Streamed:
    """Many chats' arrivals, and the wall-clock seconds of all together."""

    chats: Sequence[Arrivals]
    seconds: float

    @property
    def tokens_a_second(self) -> float:
        return sum(chat.tokens for chat in self.chats) / self.seconds

    def first(self, percent: int) -> float:
        """Time to first token, ms."""
        return percentile([chat.first for chat in self.chats], percent)

    def between(self, percent: int) -> float:
        """Inter-token latency, ms. Every gap of every chat counts once."""
        return percentile([gap for chat in self.chats for gap in chat.between], percent)


async def stream(port: int, path: str, chat: Chat, fields: Mapping[str, Any]) -> Arrivals:
    """Ask for one; `fields` are those of the body beside the message, its length and `stream`.

    Raises:
        StreamFailed
    """
    message = {"role": "user", "content": chat.text}
    body = {"messages": [message], "max_tokens": chat.tokens, "temperature": 0, "stream": True, **fields}
    raw = json.dumps(body).encode()
    sent = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_LONGEST_LINE)
    try:
        writer.write(HEAD.format(path=path, length=len(raw)).encode() + raw)
        async with asyncio.timeout(PATIENCE):
            return await _arrivals(reader, sent)
    finally:
        writer.close()


async def _arrivals(reader: asyncio.StreamReader, sent: float) -> Arrivals:
    status = await reader.readline()
    if b" 200 " not in status:
        raise StreamFailed(f"answered {status.decode().strip()}: {(await reader.read(2000)).decode(errors='replace')}")
    parts: list[float] = []
    tokens = 0
    while b"[DONE]" not in (line := await reader.readline()) and line != b"0\r\n":
        if not line:
            raise StreamFailed("the stream broke off")
        if not line.startswith(b"data:"):
            continue
        event = json.loads(line[len(b"data:") :])
        if "error" in event:
            raise StreamFailed(str(event["error"]))
        if any(choice["delta"].get("content") for choice in event.get("choices") or ()):
            parts.append(time.monotonic())
        tokens = (event.get("usage") or {}).get("completion_tokens") or tokens
    if not parts:
        raise StreamFailed("no text came")
    return Arrivals(sent, parts, tokens or len(parts))


async def by_clients(port: int, path: str, chats: Sequence[Chat], clients: int, fields: Mapping[str, Any]) -> Streamed:
    """So many clients, each of which asks the next chat as soon as its own is answered."""
    left = iter(chats)
    found: list[Arrivals] = []

    async def client() -> None:
        for chat in left:
            found.append(await stream(port, path, chat, fields))

    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return Streamed(found, time.monotonic() - begun)
