"""What all calls of a server share: the methods, the limits, and what is taken of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

import grpc

from server.api.bodies import Bodies
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.infer_calls import Inference
from server.errors import Overloaded, TooLarge
from server.runtime.busy_poll import BusyPoll

#: a connection's share of the bytes of answers that may wait for clients to read them: one of so many
_SHARE = 4
#: one of so many calls makes room at a time, so that a look at all of them is rare
_LEAVE = 16


class HandlerCallDetails(NamedTuple):
    """As `grpc.GenericRpcHandler.service` takes them."""

    method: str
    invocation_metadata: Sequence[tuple[str, str | bytes]]


class WaitingCall(Protocol):
    """A call, as far as others want its place."""

    @property
    def idle_since(self) -> float | None:
        """Since when it waits for its client, on the event loop's clock; None: its client waits for the server."""

    def make_room(self) -> None:
        """It has to go for others."""


class CallSite:
    """Lives on the event loop."""

    def __init__(
        self,
        handlers: Sequence[grpc.GenericRpcHandler[Any, Any]],
        limits: GrpcLimits,
        bodies: Bodies | None = None,
        inference: Inference | None = None,
        busy_poll: BusyPoll | None = None,
    ) -> None:
        """`inference`: how `ModelInfer` is answered in callbacks; None: its handler does it, as all others do."""
        self._handlers = tuple(handlers)
        self.limits = limits
        self.bodies = bodies or Bodies()
        self.inference = inference
        self.busy_poll = busy_poll or BusyPoll()
        self.most_received = limits.max_receive if limits.max_receive >= 0 else self.bodies.most
        self.encoding = "" if limits.compression == "none" else limits.compression
        self.calls: set[WaitingCall] = set()  #: under way
        self.unsent = 0  #: bytes of answers that clients have not read
        self.tasks: set[asyncio.Task[None]] = set()  #: kept from being collected

    def handler(self, method: str, metadata: Sequence[tuple[str, str | bytes]]) -> Any:
        """The `grpc.RpcMethodHandler` of a method; None: there is no such method."""
        details = HandlerCallDetails(method, metadata)
        found = (handler.service(details) for handler in self._handlers)
        return next((each for each in found if each is not None), None)

    def in_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what takes a while, and tell nobody."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def admit(self, call: WaitingCall) -> bool:
        """Count a call in; False: there is no room, as all others wait for the server.

        Where as many are under way as may be, those make room that have waited for their clients for the longest.
        """
        if len(self.calls) >= self.limits.max_calls:
            waiting = [(since, each) for each in self.calls if (since := each.idle_since) is not None]
            waiting.sort(key=lambda each: each[0])
            for _, each in waiting[: max(1, self.limits.max_calls // _LEAVE)]:
                each.make_room()
            if len(self.calls) >= self.limits.max_calls:
                return False
        self.calls.add(call)
        return True

    def check_size(self, size: int) -> None:
        """
        Raises:
            TooLarge: an answer of `size` bytes is larger than may be sent.
        """
        if size > self.limits.max_send >= 0:
            raise TooLarge(f"SERVER: Sent message larger than max ({size} vs. {self.limits.max_send})")

    def check_room(self, size: int, connection: int) -> None:
        """Whether an answer of `size` bytes may wait for its client, who leaves `connection` bytes unread already.

        Raises:
            Overloaded: it is too much, of all connections together or of this one.
        """
        for held, most, whose in (
            (self.unsent, self.bodies.most, "all connections"),
            (connection, self.bodies.most // _SHARE, "a connection"),
        ):
            if held and held + size > most:
                raise Overloaded(
                    f"answers that clients have not read hold {held} bytes by now, and {size} more are too many: "
                    f"the limit of {whose} is {most} (max_bodies_bytes); read answers while you ask"
                )
