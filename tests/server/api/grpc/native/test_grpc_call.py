"""A call is answered alike by both fronts: head, messages, status, details and trailing metadata."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.native.call_site import CallSite
from server.api.grpc.native.call_task import CallTask
from server.api.grpc.native.grpc_call import GrpcCall
from server.api.grpc.native.native_server import GrpcConnectionLimits, NativeServer
from server.api.http2.outbox import Stream
from tests.patience import becomes
from tests.server.api.grpc.fronts import FRONTS, started
from tests.server.api.grpc.native.raw_calls import CALLS, MOST, Obedient, call, head, message

LIMITS = GrpcLimits(MOST, MOST)


def asked(front: str, *calls: Any, pieces: int = 1, limits: GrpcLimits = LIMITS) -> tuple[list[Any], Obedient]:
    """What calls are answered, one after another, and what the service has seen."""

    async def run() -> tuple[list[Any], Obedient]:
        service = Obedient()
        server, port = await started(front, [service], limits=limits)
        try:
            return [await asyncio.to_thread(call, port, *each, pieces) for each in calls], service
        finally:
            await server.stop(None)

    return asyncio.run(run())


def _sorted(found: Any) -> Any:
    return sorted((str(key), value) for key, value in found)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "grpc._cython.cygrpc")
    caplog.set_level(logging.CRITICAL, "kserve")


@pytest.mark.slow
def test_both_fronts_answer_alike() -> None:
    (ours, our_service), (theirs, their_service) = (asked(front, *CALLS.values()) for front in FRONTS)
    for name, our, their in zip(CALLS, ours, theirs, strict=True):
        assert (name, our) == (name, their)
    # a call whose time has passed before it came may or may not reach the service
    seen = [{tuple(_sorted(each)) for each in service.metadata} for service in (our_service, their_service)]
    assert seen[0] == seen[1]
    distant = [sorted(each for each in service.deadlines if each) for service in (our_service, their_service)]
    assert distant[0][-3:] == pytest.approx(distant[1][-3:], rel=0.9)


@pytest.mark.parametrize("name", list(CALLS))
def test_a_call_that_is_over_leaves_nothing_for_the_garbage_collector(name: str) -> None:
    gc.collect()
    gc.disable()
    try:
        asked("http2", CALLS[name])
        left = [each for each in gc.get_objects() if isinstance(each, GrpcCall | CallTask | Stream)]
    finally:
        gc.enable()
    assert left == []


@pytest.mark.slow
@pytest.mark.parametrize("pieces", [2, 7])
def test_it_does_not_matter_in_how_many_pieces_a_body_comes(pieces: int) -> None:
    whole, _ = asked("http2", *CALLS.values())
    cut, _ = asked("http2", *CALLS.values(), pieces=pieces)
    for name, one, other in zip(CALLS, whole, cut, strict=True):
        assert (name, one) == (name, other)


@pytest.mark.parametrize(
    ("fields", "body", "status", "details"),
    [
        pytest.param(head(), b"", b"13", b"the call has ended without a whole message", id="no message"),
        pytest.param(head(), message(b"hello")[:-1], b"13", b"the call has ended without a whole message", id="half"),
        pytest.param(head(), message(b"hello", 7), b"13",
                     b"a message begins with the byte 7, which says nothing: 0 or 1 does", id="a strange byte"),
        pytest.param(head(method="GET"), b"", b"12", b"gRPC is asked by POST", id="GET"),
        pytest.param(head("/s/echo", ("x-a", "a" * 20_000)), b"", b"8",
                     b"the metadata of a call may come to 16384 bytes, 32 counted with each: send less", id="metadata"),
    ],
)  # fmt: skip
def test_what_grpcio_leaves_without_an_answer_has_one(fields: Any, body: bytes, status: bytes, details: bytes) -> None:
    ((heads, data),), _ = asked("http2", (fields, body))
    assert data == b""
    assert dict(heads[-1])[b"grpc-status"] == status
    assert dict(heads[-1])[b"grpc-message"] == details


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_answers_are_compressed_for_who_takes_it(encoding: str) -> None:
    limits = GrpcLimits(MOST, MOST, compression=encoding)
    takes = head("/s/echo", ("grpc-accept-encoding", f"identity,{encoding}"))
    found, _ = asked("http2", (takes, message(b"a" * 900)), (head(), message(b"a" * 900)), limits=limits)
    (heads, small), (plain_heads, plain) = found
    assert dict(heads[0])[b"grpc-encoding"] == encoding.encode()
    assert small[0] == 1
    assert len(small) < 100
    assert plain == message(b"a" * 900)
    assert b"grpc-encoding" not in dict(plain_heads[0])


def native(talk: Callable[[Obedient, CallSite, int], Any], **limits: Any) -> None:
    """Talk to a server of our own."""

    async def run() -> None:
        service = Obedient()
        site = CallSite([service], GrpcLimits(**limits))
        server = NativeServer(site, GrpcConnectionLimits())
        port = await server.start(0)
        try:
            await talk(service, site, port)
            await becomes(lambda: (len(site.calls), site.bodies.held, site.unsent, len(site.tasks)) == (0, 0, 0, 0))
        finally:
            await server.stop(None)

    asyncio.run(run())


def test_calls_beyond_the_limit_are_refused_and_work_for_nobody_is_dropped() -> None:
    async def talk(service: Obedient, site: CallSite, port: int) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            echo = channel.unary_unary("/s/echo")
            waiting = [echo(b"wait") for _ in range(3)]
            await becomes(lambda: service.running == 3)
            heads, _ = await asyncio.to_thread(call, port, *CALLS["plain"])  # over another connection
            assert dict(heads[-1])[b"grpc-message"] == b"Concurrent RPC limit exceeded!"
            waiting[0].cancel()
            await becomes(lambda: service.cancelled == 1)
            assert await echo(b"hello") == b"hello"
        await becomes(lambda: service.cancelled == 3)  # the connection has gone, and they with it

    native(talk, max_calls=3)


@pytest.mark.parametrize("path", ["/s/echo", "/s/stream", "/s/sum"])
def test_those_that_have_their_clients_wait_for_nothing_make_room(path: str) -> None:
    """Of silent calls there may be as many as there are places: others are served all the same."""

    async def talk(service: Obedient, site: CallSite, port: int) -> None:
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as silent,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel,
        ):
            calls = [silent.stream_stream(path)() for _ in range(32)]
            reading = [asyncio.ensure_future(each.read()) for each in calls]
            await becomes(lambda: len(site.calls) == 32)
            busy = channel.unary_unary("/s/echo")(b"wait")
            await becomes(lambda: service.running == 1)
            for _ in range(40):
                assert await channel.unary_unary("/s/echo")(b"hello") == b"hello"
            left, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
            with pytest.raises(grpc.aio.AioRpcError, match="this call has made room for others") as why:
                await next(iter(left))
            assert why.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            service.gate.set()
            assert await busy == b"wait"  # a client who waits for the server stays
            for each in calls:
                each.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    native(talk, max_calls=32)


def test_a_deadline_ends_the_work() -> None:
    async def talk(service: Obedient, site: CallSite, port: int) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            for seconds in (0.2, 2.0, 20.0):  # it may pass before the call is there
                with pytest.raises(grpc.aio.AioRpcError) as late:
                    await channel.unary_unary("/s/echo")(b"wait", timeout=seconds)
                assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                if service.deadlines:
                    break
            await becomes(lambda: service.cancelled == len(service.deadlines) > 0)

    native(talk)


def test_large_messages_go_both_ways() -> None:
    async def talk(service: Obedient, site: CallSite, port: int) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            large = bytes(range(256)) * 80_000
            answers = await asyncio.gather(*(channel.unary_unary("/s/echo")(large[n:]) for n in range(3)))
            assert answers == [large[n:] for n in range(3)]

    native(talk)


@pytest.mark.slow
def test_a_reader_who_is_slow_holds_back_the_stream() -> None:
    async def talk(service: Obedient, site: CallSite, port: int) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            answers = channel.unary_stream("/s/count")(b"200000")
            most = 0
            for number in range(0, 20_000):
                assert await answers.read() == b"%d" % number
                most = max(most, site.unsent)
            assert most < 200_000
            answers.cancel()

    native(talk)


def test_messages_of_all_calls_together_are_bounded() -> None:
    async def talk(service: Obedient, site: CallSite, port: int) -> None:
        site.bodies.most = 100_000
        fields, body = head(), message(b"x" * 200_000)
        heads, _ = await asyncio.to_thread(call, port, fields, body[:60_000])
        assert dict(heads[-1])[b"grpc-status"] == b"13"  # it fits, and is half a message
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError, match="max_bodies_bytes") as refused:
                await channel.unary_unary("/s/echo")(body)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert await channel.unary_unary("/s/echo")(b"x") == b"x"

    native(talk)


def test_empty_messages_count_as_what_they_take() -> None:
    """Fifty kilobytes of them are more than a megabyte in memory, for as long as they wait."""

    async def talk(service: Obedient, site: CallSite, port: int) -> None:
        site.bodies.most = 1_000_000
        heads, _ = await asyncio.to_thread(call, port, head("/s/sum"), message(b"") * 10_000)
        assert dict(heads[-1])[b"grpc-status"] == b"8"
        assert b"max_bodies_bytes" in dict(heads[-1])[b"grpc-message"]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.stream_unary("/s/sum")(iter([b"x"] * 1000)) == b"+".join([b"x"] * 1000)

    native(talk)


def test_of_a_unary_call_one_message_is_kept() -> None:
    async def talk(service: Obedient, site: CallSite, port: int) -> None:
        asking = asyncio.create_task(asyncio.to_thread(call, port, head(), message(b"wait") + message(b"") * 1000))
        await becomes(lambda: service.running == 1)
        assert site.bodies.held == 0
        service.gate.set()
        _, data = await asking
        assert data == message(b"wait")

    native(talk)
