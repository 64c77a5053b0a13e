"""The end of a server: its gRPC clients leave before it stops, so that no call is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import pytest
import uvicorn

from server.api.grpc import aio_server, service
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.grpc_server import GrpcServer
from server.api.rest.fast_protocol import ServerContext
from server.api.shutdown import Shutdown
from server.runtime.signals import Signals
from tests.patience import becomes
from tests.server.api.grpc.fronts import FRONTS, started

MOST = 2**20
AGE = 0.5  #: seconds that a gRPC connection lives here
PATIENCE = 60


class Calls(grpc.GenericRpcHandler):
    """Every method: answers what it was sent, once the gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = 0

    def service(self, handler_call_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    async def _answer(self, raw: bytes, context: Any) -> bytes:
        self.begun += 1
        await asyncio.sleep(0)
        await self.gate.wait()
        return raw


class Models:
    stopping = False

    def begin_stop(self) -> None:
        self.stopping = True


class Clients:
    """Callers, several on each of several connections, that go on until they are refused."""

    def __init__(self, port: int, channels: int = 4, callers: int = 4) -> None:
        self.answered = 0
        self.ends = Counter[str]()
        target, options = f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [grpc.aio.insecure_channel(target, options=options) for _ in range(channels)]
        self.calling = [asyncio.create_task(self._call(each)) for each in self._channels for _ in range(callers)]

    async def _call(self, channel: Any) -> None:
        method = channel.unary_unary("/a/b")
        while True:
            try:
                await method(b"x", timeout=PATIENCE)
            except grpc.aio.AioRpcError as error:
                self.ends["refused" if "refused" in error.details() else f"{error.code()} {error.details()}"] += 1
                return
            self.answered += 1

    async def ended(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self.calling)
        for channel in self._channels:
            await channel.close()


@asynccontextmanager
async def serving(
    monkeypatch: pytest.MonkeyPatch, front: str, age: float = AGE
) -> AsyncIterator[tuple[GrpcServer, int, Calls]]:
    monkeypatch.setattr(service, "MAX_CONNECTION_AGE", age)
    monkeypatch.setattr(aio_server, "LONGEST_CONNECTION_AGE", PATIENCE)  # a machine that stalls cuts nobody short
    calls = Calls()
    server, port = await started(front, [calls], limits=GrpcLimits(MOST, MOST))
    yield server, port, calls
    await server.stop(None)


def made(grace: float, rest: Any = None) -> Shutdown:
    return Shutdown(Models(), cast(uvicorn.Server, rest), cast(ServerContext, None), grace)


async def nothing() -> None:
    """There are no other processes."""


@pytest.mark.parametrize("front", FRONTS)
def test_no_call_is_cancelled_however_many_are_begun(monkeypatch: pytest.MonkeyPatch, front: str) -> None:
    async def run() -> None:
        async with serving(monkeypatch, front) as (server, port, calls):
            clients = Clients(port)
            await becomes(lambda: clients.answered > 100)
            await made(PATIENCE)._end_grpc(server, asyncio.ensure_future(nothing()))
            await clients.ended()
            assert clients.ends == {"refused": len(clients.calling)}
            assert clients.answered == calls.begun

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("front", FRONTS)
def test_calls_in_flight_are_answered(monkeypatch: pytest.MonkeyPatch, front: str) -> None:
    async def run() -> None:
        async with serving(monkeypatch, front) as (server, port, calls):
            calls.gate.clear()
            clients = Clients(port)
            await becomes(lambda: calls.begun == len(clients.calling))
            ending = asyncio.create_task(made(PATIENCE)._end_grpc(server, asyncio.ensure_future(nothing())))
            await asyncio.sleep(2 * AGE)  # all have been asked to leave
            assert not ending.done()
            calls.gate.set()
            await ending
            await clients.ended()
            assert clients.answered == calls.begun == len(clients.calling)
            assert clients.ends == {"refused": len(clients.calling)}

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("front", FRONTS)
def test_calls_that_never_end_are_given_up(monkeypatch: pytest.MonkeyPatch, front: str) -> None:
    async def run() -> None:
        async with serving(monkeypatch, front) as (server, port, calls):
            calls.gate.clear()
            clients = Clients(port)
            await becomes(lambda: calls.begun == len(clients.calling))
            async with asyncio.timeout(PATIENCE):
                await made(0.1)._end_grpc(server, asyncio.ensure_future(nothing()))
            await clients.ended()
            assert clients.answered == 0

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("front", FRONTS)
def test_processes_that_hand_calls_on_end_first(monkeypatch: pytest.MonkeyPatch, front: str) -> None:
    async def run() -> None:
        async with serving(monkeypatch, front) as (server, _, _):
            gate = asyncio.Event()
            others = asyncio.ensure_future(cast(Any, gate.wait()))
            ending = asyncio.create_task(made(PATIENCE)._end_grpc(server, others))
            done, _ = await asyncio.wait([ending], timeout=4 * AGE)
            assert not done
            gate.set()
            await ending

    asyncio.run(run())


def test_a_signal_that_has_come_is_heard_on_the_event_loop(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        models, signals, rest = Models(), Signals(), uvicorn.Server(uvicorn.Config(app=cast(Any, None)))
        stop = Shutdown(models, rest, cast(ServerContext, None), grace_period=7, delay=3)
        stop.listen_to(signals)
        assert rest.handle_exit == signals.handle  # uvicorn takes the signals over
        signals.handle(15, None)
        await becomes(lambda: models.stopping)
        running = asyncio.create_task(stop.run(None))
        with contextlib.suppress(asyncio.CancelledError):
            running.cancel()
            await running

    with caplog.at_level("INFO"):
        asyncio.run(run())
    assert "SIGTERM: stopping; not ready from now on, still serving for 3 s, requests in flight have 7 s" in caplog.text
