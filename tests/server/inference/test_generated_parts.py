"""Parts of a text while their client is there, and what comes before the first of them."""

from __future__ import annotations

import asyncio

import pytest

from server.errors import ClientGone, ModelFailed
from server.inference.generated_parts import GeneratedParts
from server.inference.request import never_disconnected
from tests.server.generating import ListedParts, delta, parts_of


def test_all_parts_come_in_order() -> None:
    async def run() -> None:
        parts = GeneratedParts(ListedParts(parts_of("a")), never_disconnected)
        await parts.begin()
        assert [part async for part in parts] == parts_of("a")

    asyncio.run(run())


def test_a_client_that_goes_ends_the_waiting() -> None:
    async def run() -> None:
        source = ListedParts(parts_of("a"), {1: asyncio.Event()})
        is_gone = False
        parts = GeneratedParts(source, lambda: is_gone)
        await anext(parts)
        waiting = asyncio.create_task(anext(parts))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        is_gone = True
        with pytest.raises(ClientGone):
            await waiting
        await parts.aclose()
        assert source.closed

    asyncio.run(run())


def test_a_beginning_waits_for_text_but_not_for_ever() -> None:
    async def run() -> None:
        quiet = [{"prompt_tokens": 1}, *[{}] * 100, delta(0, "a", "stop")]
        parts = GeneratedParts(ListedParts(quiet), never_disconnected)
        await parts.begin()
        assert [part async for part in parts] == quiet
        failing = GeneratedParts(ListedParts([{"prompt_tokens": 1}, {}, ModelFailed("no")]), never_disconnected)
        with pytest.raises(ModelFailed):
            await failing.begin()

    asyncio.run(run())


def test_what_is_no_part_is_the_model_s_failure() -> None:
    class Broken(ListedParts):
        async def __anext__(self) -> bytes:
            return b"{"

    async def run() -> None:
        with pytest.raises(ModelFailed, match="no part"):
            await GeneratedParts(Broken([]), never_disconnected).begin()

    asyncio.run(run())
