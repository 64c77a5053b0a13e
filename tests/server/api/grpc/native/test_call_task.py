"""A handler's task: takes messages as they come, and ends with its call. What it answers is in `test_grpc_call`."""

from __future__ import annotations

import asyncio
from typing import Any

from server.api.grpc.native.call_context import CallContext
from server.api.grpc.native.call_site import HandlerCallDetails
from server.api.grpc.native.call_task import CallTask
from server.api.grpc.native.message_frames import FramedMessage
from server.errors import ServingError
from tests.patience import becomes
from tests.server.api.grpc.native.raw_calls import Obedient


class Recorded:
    """A call that keeps what it is told."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.ends: list[tuple[str, str]] = []

    def context(self) -> CallContext:
        return CallContext((), "unix:", lambda: None, lambda pairs: None)

    async def read(self, message: FramedMessage) -> bytes:
        return message.raw

    async def send(self, answer: bytes) -> None:
        self.sent.append(answer)

    async def send_only(self, answer: bytes, trailing: Any) -> None:
        self.sent.append(answer)

    def fail(self, error: ServingError) -> None:
        self.ends.append((error.grpc, str(error)))

    def finish(self, status: str, details: str, trailing: Any = ()) -> None:
        self.ends.append((status, details))


def task(call: Recorded, method: str, service: Obedient, tasks: set[asyncio.Task[None]]) -> CallTask:
    return CallTask(call, service.service(HandlerCallDetails(f"/s/{method}", ())), tasks)


def test_messages_are_taken_in_order_and_the_end_is_heard() -> None:
    async def run() -> None:
        call, tasks = Recorded(), set[asyncio.Task[None]]()
        streaming = task(call, "stream", Obedient(), tasks)
        assert not streaming.waits  # it may say something by itself
        for number in range(3):
            streaming.put(FramedMessage(False, b"%d" % number))
        assert streaming.lags
        await becomes(lambda: len(call.sent) == 3)
        assert not streaming.lags
        streaming.end()
        await becomes(lambda: not tasks)
        assert call.sent == [b"0", b"1", b"2"]
        assert call.ends == [("OK", "")]

    asyncio.run(run())


def test_a_call_that_is_given_up_ends_the_work() -> None:
    async def run() -> None:
        call, service, tasks = Recorded(), Obedient(), set[asyncio.Task[None]]()
        waiting = task(call, "echo", service, tasks)
        assert waiting.waits
        waiting.put(FramedMessage(False, b"wait"))
        await becomes(lambda: service.running == 1)
        waiting.cancel()
        await becomes(lambda: not tasks)
        assert (service.cancelled, call.ends) == (1, [])

    asyncio.run(run())
