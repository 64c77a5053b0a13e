"""Large bodies go the short way, too: what has come of them is counted, until they are answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from server.api.rest import fast_protocol
from server.api.rest.limits import HttpLimits
from server.codec.decoded_request import DecodedRequest
from server.inference.batching.merging import BatchCaller
from server.repository.repository import Repository
from tests.patience import becomes
from tests.server.api.rest.test_fast_protocol import ONE, PATIENCE, V1, post, read, repository, site, the_long_way

__all__ = ["repository"]

SMALL = 1000
RIGHT = b'{"predictions":[[2.0,4.0]]}'
BODY = ONE + b" " * (4000 - len(ONE))


@pytest.fixture(autouse=True)
def small_is_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_protocol, "SMALL_BODY", SMALL)


@pytest.fixture
def held_model() -> Iterator[tuple[threading.Event, threading.Event]]:
    """Set once the model is asked; and what lets it answer."""
    entered, go = threading.Event(), threading.Event()

    def slow(self: BatchCaller, call: DecodedRequest) -> Any:
        entered.set()
        go.wait(PATIENCE)
        return {"y": call.inputs["x"] * 2}

    with mock.patch.object(BatchCaller, "_one", slow):
        yield entered, go


@pytest.mark.parametrize("size", [SMALL - 1, SMALL, SMALL + 1, 4000])
def test_whatever_its_size_the_short_way_is_taken_and_answers_as_the_long_one(
    repository: Repository, size: int
) -> None:
    body = ONE + b" " * (size - len(ONE))
    request = post(V1, body)

    async def ask() -> None:
        async with site(repository) as here:
            (long,) = await here.ask(the_long_way(V1, body))
            with mock.patch("server.api.rest.routes.answered", side_effect=AssertionError):
                (whole,) = await here.ask(request)
                (pieces,) = await here.ask(*(request[at : at + 700] for at in range(0, len(request), 700)))
                behind = await here.ask(request[:-9], request[-9:] + request + post(V1, ONE), answers=3)
            assert [long] * 5 == [whole, pieces, *behind]
            assert long.body == RIGHT
            assert here.shared.bounds.bodies.held == 0

    asyncio.run(ask())


def test_what_is_announced_takes_no_room_and_what_has_come_does(repository: Repository) -> None:
    async def ask() -> None:
        async with site(repository, HttpLimits(max_bodies_bytes=9000)) as here:
            bodies, request = here.shared.bounds.bodies, post(V1, BODY)
            start = len(request) - len(BODY)
            idle = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(3)]
            for _, writer in idle:
                writer.write(request[: start + 100])
            await becomes(lambda: bodies.held == 300)
            assert (await here.ask(request))[0].body == RIGHT
            for _, writer in idle[:2]:
                writer.write(BODY[100:-1])
            await becomes(lambda: bodies.held == 2 * 3999 + 100)
            idle[2][1].write(BODY[100:-1])
            refused = await read(idle[2][0])
            assert refused.status == "HTTP/1.1 503 Service Unavailable"
            assert b"(max_bodies_bytes)" in refused.body
            await becomes(lambda: bodies.held == 2 * 3999)
            idle[0][1].write(BODY[-1:])
            assert (await read(idle[0][0])).body == RIGHT
            for _, writer in idle:
                writer.close()
            await becomes(lambda: bodies.held == 0)

    asyncio.run(ask())


@pytest.mark.parametrize("leaves", [False, True])
def test_a_body_is_held_until_it_is_answered(
    repository: Repository, held_model: tuple[threading.Event, threading.Event], leaves: bool
) -> None:
    entered, go = held_model

    async def ask() -> None:
        async with site(repository) as here:
            bodies = here.shared.bounds.bodies
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            writer.write(post(V1, BODY))
            assert await asyncio.to_thread(entered.wait, PATIENCE)
            assert bodies.held == len(BODY)
            if leaves:
                writer.close()
                await becomes(lambda: not here.server.server_state.connections)
                assert bodies.held == len(BODY)  # the model has it still
            go.set()
            if not leaves:
                assert (await read(reader)).body == RIGHT
                writer.close()
            await becomes(lambda: bodies.held == 0)

    asyncio.run(ask())
