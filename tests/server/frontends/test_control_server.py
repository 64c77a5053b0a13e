"""A front process does what the main one requests, says when it is done, and why it cannot do something."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.frontends.control_server import ControlServer
from server.frontends.copy_repository import CopyRepository
from server.inference.batching.queue import Limits
from server.loading.load_spec import LoadSpec
from server.runtime import ipc
from tests.server.frontends.copies import echo_spec
from tests.server.stand_ins import EchoAdapter, stand_ins

PATIENCE = 60


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[CopyRepository]:
    with stand_ins(monkeypatch), ThreadPoolExecutor(1) as pool:
        yield CopyRepository(pool, Limits(), log_latency=False)


class Main:
    """The main process's end of the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.stopped: list[float] = []  #: the grace periods that the server was asked to stop with
        self._number = 0

    def request(self, do: str, **fields: Any) -> int:
        self._number += 1
        for part in ipc.pack({"id": self._number, "do": do, **fields}):
            self.writer.write(part)
        return self._number

    async def answer(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            message = await ipc.read(self.reader)
        assert message is not None
        return dict(message.fields)

    async def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """The answer to a request, the only one that is under way."""
        number = self.request(do, **fields)
        answer = await self.answer()
        assert answer.pop("id") == number
        return answer


@asynccontextmanager
async def connected(copies: CopyRepository) -> AsyncIterator[Main]:
    ours, theirs = socket.socketpair()
    main = Main(*await asyncio.open_unix_connection(sock=ours))
    reader, writer = await asyncio.open_unix_connection(sock=theirs)
    serving = asyncio.create_task(ControlServer(writer, copies, main.stopped.append).serve(reader))
    try:
        yield main
    finally:
        main.writer.close()
        async with asyncio.timeout(PATIENCE):
            await serving  # the main process has hung up
        writer.close()


def run(copies: CopyRepository, ask: Callable[[Main], Awaitable[None]]) -> None:
    async def running() -> None:
        async with connected(copies) as main:
            await ask(main)

    asyncio.run(running())


def test_the_life_of_a_copy(copies: CopyRepository, tmp_path: Path) -> None:
    spec = echo_spec(tmp_path)

    async def ask(main: Main) -> None:
        assert await main.ask("load", spec=spec.to_fields()) == {"error": ""}
        assert not copies.answers_whole("a", "1")
        assert await main.ask("routes", name="a", routes=[["1", spec.number]]) == {"error": ""}
        assert copies.answers_whole("a", "1")
        assert await main.ask("routes", name="a", routes=[]) == {"error": ""}
        assert not copies.answers_whole("a", "1")
        assert EchoAdapter.made[-1].closed == 0
        assert await main.ask("drop", number=spec.number) == {"error": ""}
        assert EchoAdapter.made[-1].closed == 1

    run(copies, ask)


def test_other_requests_are_answered_while_a_copy_is_loaded(copies: CopyRepository, tmp_path: Path) -> None:
    spec = echo_spec(tmp_path, "echo wait")
    EchoAdapter.gate.clear()

    async def ask(main: Main) -> None:
        loading = main.request("load", spec=spec.to_fields())
        counting = main.request("count")
        assert await main.answer() == {"id": counting, "error": "", "counts": {}, "waiting": {}, "in_flight": {}}
        EchoAdapter.gate.set()
        assert await main.answer() == {"id": loading, "error": ""}

    run(copies, ask)


def test_why_something_cannot_be_done_is_said_and_nothing_ends(copies: CopyRepository, tmp_path: Path) -> None:
    spec = LoadSpec.from_fields(echo_spec(tmp_path, "echo refuse").to_fields())

    async def ask(main: Main) -> None:
        assert (await main.ask("load", spec=spec.to_fields()))["error"] == "model.echo is refused"
        assert (await main.ask("drop", number=4711))["error"] == "KeyError: 4711"
        assert (await main.ask("dance"))["error"] == "ValueError: nobody knows how to dance"
        assert (await main.ask("count"))["error"] == ""

    run(copies, ask)


def test_stop_is_answered_and_begun(copies: CopyRepository) -> None:
    async def ask(main: Main) -> None:
        assert await main.ask("stop", grace=2.5) == {"error": ""}
        assert main.stopped == [2.5]

    run(copies, ask)


def test_the_level_of_the_log_is_the_main_process_s(copies: CopyRepository) -> None:
    loggers = [logging.getLogger(name) for name in ("kserve", "kserve.trace", "uvicorn.error", "adapters")]
    before = [each.level for each in loggers]

    async def ask(main: Main) -> None:
        assert await main.ask("log", level=logging.ERROR) == {"error": ""}
        assert logging.getLogger("kserve").level == logging.ERROR

    try:
        run(copies, ask)
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)
