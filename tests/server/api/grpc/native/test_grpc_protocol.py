"""A connection: who the peer is, what it waits for, and how it ends for a client that keeps it waiting."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from server.api.connections import Connections, Wait
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.native import grpc_protocol
from server.api.grpc.native.call_site import CallSite
from server.api.grpc.native.call_task import CallTask
from server.api.grpc.native.grpc_call import GrpcCall
from server.api.grpc.native.grpc_protocol import GrpcProtocol
from server.api.grpc.native.native_server import GrpcConnectionLimits
from server.api.http2 import frames
from server.api.http2.frame_reader import Http2Limits
from server.api.http2.frames import END_HEADERS, frame, window_update
from server.api.http2.outbox import Stream
from server.runtime.busy_poll import BusyPoll
from tests.patience import becomes
from tests.server.api.grpc.native.raw_calls import Obedient, head, message
from tests.server.api.http2.client import HELLO, block, headers, split

CALL = headers(1, END_HEADERS, block(base=head()))


class Transport(asyncio.Transport):
    def __init__(self, peer: Any = ("127.0.0.1", 7)) -> None:
        super().__init__({"peername": peer})
        self.written = b""
        self.ended = ""
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        data, self.written = self.written, b""
        return split(data)


def connected(peer: Any = ("127.0.0.1", 7), site: CallSite | None = None) -> tuple[GrpcProtocol, Transport]:
    site = site or CallSite([Obedient()], GrpcLimits())
    protocol = GrpcProtocol(site, Connections(GrpcConnectionLimits(10)), Http2Limits())
    transport = Transport(peer)
    protocol.connection_made(transport)
    return protocol, transport


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        (("127.0.0.1", 7), "ipv4:127.0.0.1:7"),
        (("::ffff:10.0.0.1", 7, 0, 0), "ipv4:10.0.0.1:7"),
        (("::1", 7, 0, 0), "ipv6:[::1]:7"),
        ("", "unix:"),
        (None, "unix:"),
    ],
    ids=str,
)
def test_peers_are_called_as_grpc_calls_them(peer: Any, name: str) -> None:
    async def run() -> None:
        assert connected(peer)[0].peer == name

    asyncio.run(run())


@pytest.mark.parametrize("method", ["echo", "count"])
def test_answers_keep_the_loop_awake_for_a_while(method: str) -> None:
    async def run() -> None:
        now = [1.0]
        poll = BusyPoll(1.0, lambda: now[0])
        protocol, _ = connected(site=CallSite([Obedient()], GrpcLimits(), busy_poll=poll))
        protocol.data_received(HELLO)
        assert not poll.is_polling
        begun = headers(1, END_HEADERS, block(base=head(f"/s/{method}")))
        protocol.data_received(begun + frame(frames.DATA, 1, 1, message(b"2")))
        await becomes(lambda: poll.is_polling)
        now[0] = 2.0
        await becomes(lambda: not poll.is_polling)

    asyncio.run(run())


def test_what_it_waits_for() -> None:
    async def run() -> None:
        protocol, transport = connected()

        def waits() -> Wait | None:
            found = protocol.waits(asyncio.get_running_loop().time())
            return found[0] if found else None

        assert waits() is Wait.FIRST_BYTE
        protocol.data_received(HELLO)
        assert waits() is Wait.NEXT
        protocol.data_received(frame(frames.HEADERS, 0, 1, CALL[9:]))
        assert waits() is Wait.HEAD
        protocol.data_received(frame(frames.CONTINUATION, END_HEADERS, 1))
        assert waits() is Wait.BODY
        protocol.data_received(frame(frames.DATA, 1, 1, message(b"wait")))
        assert waits() is None
        protocol.data_received(frame(frames.RST_STREAM, 0, 1, b"\0\0\0\x08"))
        assert waits() is Wait.NEXT
        protocol.pause_writing()
        assert waits() is Wait.READING
        assert not transport.reading
        protocol.resume_writing()
        assert transport.reading

    asyncio.run(run())


def test_who_is_late_is_told_or_sent_away() -> None:
    async def run() -> None:
        protocol, transport = connected()
        protocol.data_received(HELLO + CALL)
        transport.frames()
        protocol.expire(Wait.BODY, 0.0)
        await asyncio.sleep(0)
        (kind, _, number, payload), *_ = transport.frames()
        assert (kind, number) == (frames.HEADERS, 1)
        assert b"has not come within 0 s (body_timeout)" in payload
        protocol.expire(Wait.NEXT, 60.0)
        assert [kind for kind, _, _, _ in transport.frames()] == [frames.GOAWAY, frames.PING]
        protocol.expire(Wait.NEXT, 60.0)  # it has not answered
        assert transport.ended == "aborted"
        protocol, transport = connected()
        protocol.expire(Wait.FIRST_BYTE, 5.0)
        assert transport.ended == "aborted"

    asyncio.run(run())


def test_an_answer_that_nobody_reads_is_given_up() -> None:
    async def run() -> None:
        site = CallSite([Obedient()], GrpcLimits())
        protocol, transport = connected(site=site)
        protocol.data_received(
            HELLO + CALL + frame(frames.DATA, 0, 1, message(b"x" * 10_000)) + window_update(0, 2**20)
        )
        protocol.http.streams[1].remote_closed = True
        await protocol.http.streams[1].call.send_only(b"x" * 99_995, ())
        await asyncio.sleep(0)
        assert site.unsent == 100_000 - 65_535
        assert transport.frames()
        found = protocol.waits(asyncio.get_running_loop().time())
        assert found is not None
        assert found[0] is Wait.READING
        protocol.expire(Wait.READING, 0.0)
        assert transport.frames() == [(frames.RST_STREAM, 0, 1, b"\0\0\0\x08")]
        assert site.unsent == 0

    asyncio.run(run())


@pytest.mark.parametrize("end", ["the client takes it back", "the client has gone"])
def test_calls_that_nobody_waits_for_leave_nothing_for_the_garbage_collector(end: str) -> None:
    async def run() -> list[Any]:
        site = CallSite([Obedient()], GrpcLimits())
        protocol, _ = connected(site=site)
        protocol.data_received(HELLO + CALL + frame(frames.DATA, 1, 1, message(b"wait")))
        await asyncio.sleep(0)
        assert len(site.tasks) == 1
        if end == "the client has gone":
            protocol.connection_lost(None)
        else:
            protocol.data_received(frame(frames.RST_STREAM, 0, 1, b"\0\0\0\x08"))
        await becomes(lambda: not site.tasks)
        return [each for each in gc.get_objects() if isinstance(each, GrpcCall | CallTask | Stream)]

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(run()) == []
    finally:
        gc.enable()


def test_there_is_room_for_so_many_and_idle_ones_make_it() -> None:
    async def run() -> None:
        connections = Connections(GrpcConnectionLimits(1))
        site, transports = CallSite([Obedient()], GrpcLimits()), [Transport() for _ in range(3)]
        protocols = [GrpcProtocol(site, connections, Http2Limits()) for _ in transports]
        protocols[0].connection_made(transports[0])
        protocols[0].data_received(HELLO)
        protocols[1].connection_made(transports[1])  # the first is idle, and is asked to go
        assert transports[0].ended == "closed"
        protocols[1].data_received(HELLO + CALL + frame(frames.DATA, 1, 1, message(b"wait")))
        protocols[2].connection_made(transports[2])  # the second is being served
        assert (transports[1].ended, transports[2].ended) == ("", "aborted")
        protocols[1].connection_lost(None)

    asyncio.run(run())


def test_all_that_is_answered_in_a_turn_is_one_write() -> None:
    async def run() -> None:
        protocol, transport = connected()
        protocol.data_received(HELLO + CALL + headers(3, END_HEADERS, block(base=head())))
        transport.frames()
        for number in (1, 3):
            protocol.answer(protocol.http.streams[number], b"\x88", b"x", b"\x88")
        assert transport.written == b""
        await asyncio.sleep(0)
        assert {number for _, _, number, _ in transport.frames()} == {1, 3}

    asyncio.run(run())


def test_why_a_connection_ends_is_said_before() -> None:
    async def run() -> None:
        protocol, transport = connected()
        protocol.data_received(b"GET / HTTP/1.1\r\n\r\n")
        assert transport.ended == "closed"
        kind, _, _, payload = transport.frames()[-1]
        assert kind == frames.GOAWAY
        assert b"no HTTP/2" in payload

    asyncio.run(run())


def test_who_is_asked_to_go_and_still_sends_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has begun meanwhile it may do elsewhere, unless a reset takes the word of that from it."""
    monkeypatch.setattr(grpc_protocol, "_LINGER", 60.0)
    site, connections = CallSite([Obedient()], GrpcLimits()), Connections(GrpcConnectionLimits(10))
    protocols: list[GrpcProtocol] = []

    def made() -> GrpcProtocol:
        protocols.append(GrpcProtocol(site, connections, Http2Limits()))
        return protocols[-1]

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(HELLO)
            await becomes(lambda: protocols and protocols[0].http.greeted)
            protocols[0].leave_now()
            told = await reader.read()
            assert split(told)[-1][0] == frames.GOAWAY
            for number in (1, 3):
                writer.write(headers(number, END_HEADERS, block(base=head())))
                await writer.drain()
                await asyncio.sleep(0.01)  # a reset would have come by now, and the next write would fail by it
            assert len(connections) == 1
            writer.close()
            await becomes(lambda: not len(connections))

    asyncio.run(run())
