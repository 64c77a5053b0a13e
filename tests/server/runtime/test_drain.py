"""A port that is closed: who is connected, or about to be, stays; nobody else gets in; and gRPC's sockets are found."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from server.runtime import drain
from tests.patience import becomes

LOOPBACK = "127.0.0.1"
DROPPED = 0.3  #: seconds without an answer to a first packet, which a listener on this machine gives at once


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((LOOPBACK, 0)) as listener:
        listener.settimeout(10)
        yield listener


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208  (numbers, no paths)


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def connect(port: int, seconds: float = 10) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=seconds)


def test_who_was_connected_is_accepted_and_nobody_else_gets_in(listener: socket.socket) -> None:
    with connect(port_of(listener)) as early:
        drain.shut(listener)
        with pytest.raises(TimeoutError):
            connect(port_of(listener), DROPPED)
        accepted, _ = listener.accept()
        with accepted:
            early.sendall(b"asked")
            assert accepted.recv(9) == b"asked"


class _NoFilters(socket.socket):
    """A socket of a kernel that knows no filters; others take any number of an option and say nothing."""

    def setsockopt(self, level: int, option: int, *value: Any) -> None:
        if option == drain._SO_ATTACH_FILTER:
            raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
        super().setsockopt(level, option, *value)


def test_where_there_is_no_filter_the_listener_still_listens(
    listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with _NoFilters(fileno=listener.detach()) as unfiltered:
        with caplog.at_level(logging.DEBUG, "kserve"):
            drain.shut(unfiltered)
        assert "new connections cannot be held off" in caplog.text
        connect(port_of(unfiltered)).close()


def test_a_port_is_closed_and_others_are_not(listener: socket.socket) -> None:
    with socket.create_server((LOOPBACK, 0)) as other, connect(port_of(listener)) as early:
        accepted, _ = listener.accept()
        asyncio.run(drain.close_port(port_of(listener)))
        with pytest.raises(ConnectionRefusedError):
            connect(port_of(listener))
        with accepted:
            accepted.sendall(b"answered")
            assert early.recv(9) == b"answered"
        connect(port_of(other)).close()


def test_connections_count_as_long_as_they_are_there(listener: socket.socket) -> None:
    assert not drain.has_connections(port_of(listener))
    with connect(port_of(listener)):
        accepted, _ = listener.accept()
        assert drain.has_connections(port_of(listener))
        accepted.close()
    assert not drain.has_connections(port_of(listener))


def test_a_connection_of_our_own_to_the_same_port_elsewhere_does_not_count(listener: socket.socket) -> None:
    """What counts is the port on this side."""
    with connect(port_of(listener)):
        assert not drain.has_connections(port_of(listener))


def test_the_process_keeps_its_descriptors(listener: socket.socket) -> None:
    """Whatever kind they are of: none is closed, none is left behind."""
    reading, writing = os.pipe()
    one, other = socket.socketpair()
    with one, other, socket.socket(socket.AF_INET, socket.SOCK_DGRAM):
        before = descriptors()
        for _ in range(20):
            assert not drain.has_connections(port_of(listener))
        assert descriptors() == before
    os.close(reading)
    os.close(writing)


class Echo(grpc.GenericRpcHandler):
    def service(self, handler_call_details: object) -> object:
        async def echo(raw: bytes, context: object) -> bytes:
            return raw

        return grpc.unary_unary_rpc_method_handler(echo)


@asynccontextmanager
async def grpc_server() -> AsyncIterator[int]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    await server.start()
    yield port
    await server.stop(None)


def test_grpcs_port_is_closed_while_its_clients_are_served() -> None:
    async def run() -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc_server() as port:
            assert not drain.has_connections(port)
            async with grpc.aio.insecure_channel(f"{LOOPBACK}:{port}", options=options) as early:
                assert await early.unary_unary("/a/b")(b"x") == b"x"
                await drain.close_port(port)
                assert await early.unary_unary("/a/b")(b"y") == b"y"
                assert drain.has_connections(port)
                async with grpc.aio.insecure_channel(f"{LOOPBACK}:{port}", options=options) as late:
                    with pytest.raises(grpc.aio.AioRpcError, match="refused"):
                        await late.unary_unary("/a/b")(b"z")
            await becomes(lambda: not drain.has_connections(port))

    asyncio.run(run())


def test_grpc_has_nothing_to_say_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    """It would print "Closing acceptor. Failed accept4" for a listener that was shut down under its hands."""

    async def run() -> None:
        async with grpc_server() as port:
            async with grpc.aio.insecure_channel(f"{LOOPBACK}:{port}") as early:
                assert await early.unary_unary("/a/b")(b"x") == b"x"
            await drain.close_port(port)
            await asyncio.sleep(drain.HANDSHAKE)  # in which its thread would have seen it

    asyncio.run(run())
    assert capfd.readouterr().err == ""


def test_while_the_process_stands_still_nobody_loses_time_to_leave() -> None:
    looks: list[float] = []

    def connected() -> bool:
        looks.append(time.monotonic())
        if len(looks) == 2:
            time.sleep(0.3)  # the process, not the test: everything on its event loop
        return True

    asyncio.run(drain.until_gone(connected, 0.2, 0.05))
    assert len(looks) == 4


def test_nobody_is_waited_for_who_has_left() -> None:
    connected = iter([True, True, False])
    asyncio.run(drain.until_gone(lambda: next(connected), 1000, 0.01))
    assert next(connected, None) is None
