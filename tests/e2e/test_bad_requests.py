"""A thousand bad requests and a hundred clients that leave: no neighbour loses a token, and no memory stays."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.bad_requests import CHAT, HELLO, BadRequest, thousand
from tests.e2e.process import Server
from tests.language_models import TEMPLATE, save_language_model
from tests.processes import resident

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

_AT_ONCE = 8
_SEED = 16
_SPARE = 96 << 20  #: bytes that allocators may keep, once they have seen the worst
#: what neighbours ask all the while; the second is held to a form
NEIGHBOURS: list[dict[str, Any]] = [
    {"messages": HELLO, "max_tokens": 60, "temperature": 0},
    {"messages": HELLO, "max_tokens": 60, "seed": 3, "response_format": {"type": "json_object"}},
    {"messages": HELLO, "max_tokens": 60, "seed": 4, "n": 2},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    mount = tmp_path_factory.mktemp("models")
    save_language_model(mount / "tiny", template=TEMPLATE + "{% if tools %}<tool_call>{% endif %}", context=512)
    server = Server(mount, tmp_path_factory.mktemp("log") / "server.log").wait_ready()
    yield server
    server.stop()


def texts(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [choice["message"]["content"] for choice in answer.json()["choices"]]


def memory(server: Server) -> int:
    """Of the server and all its processes, in bytes, once all slots have been taken and left by others."""
    asked = {"messages": HELLO, "max_tokens": 2, "n": 32}
    assert len(texts(server.client.post(f"/openai/v1/{CHAT}", json={"model": "tiny", **asked}))) == 32
    return resident(server.process.pid)


async def bad(client: httpx.AsyncClient, wanted: BadRequest) -> None:
    answer = await client.post(wanted.path, content=wanted.body, headers={"content-type": "application/json"})
    shown = (answer.status_code, answer.text[:300], wanted.path, wanted.body[:300])
    assert answer.status_code in wanted.statuses, shown
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}, shown
        assert 10 < len(error["message"]) < 1000, shown


async def leaving(client: httpx.AsyncClient, chance: random.Random, port: int) -> None:
    """A client that hangs up: within its head or body, before the answer, or behind a few chunks of it."""
    body = b'{"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 400, "stream": true}'
    whole = b"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stage = chance.randrange(4)
    writer.write(whole if stage > 1 else whole[: chance.randrange(1, len(whole))])
    await writer.drain()
    if stage == 3:
        await reader.read(chance.choice([1, 300, 3000]))
    writer.transport.abort()


async def all_of(server: Server, requests: list[BadRequest], expected: list[list[str]], chance: random.Random) -> None:
    """The requests, so many at once, while neighbours ask the same again and again."""
    over = asyncio.Event()
    url = f"{server.url}/openai/v1/"
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=240, limits=limits) as client:

        async def neighbour(asked: dict[str, Any], texts_expected: list[str]) -> int:
            count = 0
            while not over.is_set() or not count:
                assert texts(await client.post(CHAT, json={"model": "tiny", **asked})) == texts_expected
                count += 1
            return count

        async def hostile(mine: list[BadRequest]) -> None:
            for number, each in enumerate(mine):
                await bad(client, each)
                if number % 10 == 0:
                    await leaving(client, chance, server.http_port)

        async with asyncio.TaskGroup() as tasks:
            for asked, texts_expected in zip(NEIGHBOURS, expected, strict=True):
                tasks.create_task(neighbour(asked, texts_expected))
            await asyncio.gather(*(hostile(requests[first::_AT_ONCE]) for first in range(_AT_ONCE)))
            over.set()


def test_each_has_its_own_error_and_no_neighbour_loses_a_token(server: Server) -> None:
    expected = [
        texts(server.client.post(f"/openai/v1/{CHAT}", json={"model": "tiny", **asked})) for asked in NEIGHBOURS
    ]
    requests, chance = list(thousand(_SEED)), random.Random(_SEED)
    asyncio.run(all_of(server, requests[:500], expected, chance))
    before = memory(server)
    asyncio.run(all_of(server, requests[500:], expected, chance))
    assert memory(server) - before < _SPARE
    assert "Traceback" not in server.log
    assert server.index()["tiny"]["state"] == "READY"
