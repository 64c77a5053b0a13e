"""What a method's code is given beside the request: as much of `grpc.aio.ServicerContext` as the server's code uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, TypeAlias

import grpc

Pairs: TypeAlias = Sequence[tuple[str, str | bytes]]


class Aborted(BaseException):
    """The method has ended its call by `abort`; nothing on the way out takes it for a failure."""


class CallContext:
    """Of one call."""

    def __init__(
        self,
        metadata: Pairs,
        peer: str,
        remaining: Callable[[], float | None],
        begin: Callable[[Pairs], None],
        authority: str = "",
    ) -> None:
        """`remaining` tells the seconds until the deadline, None: there is none; `begin` sends the initial metadata."""
        self.authority = authority  #: the server's name, as the client has it; grpc.aio's contexts do not tell it
        self._metadata = metadata
        self._peer = peer
        self._remaining = remaining
        self._begin = begin
        self.status, self.details = "OK", ""
        self.trailing: Pairs = ()

    def invocation_metadata(self) -> Pairs:
        return self._metadata

    def peer(self) -> str:
        """`ipv4:127.0.0.1:4711`, `ipv6:[::1]:4711` or `unix:`."""
        return self._peer

    def time_remaining(self) -> float | None:
        return self._remaining()

    async def send_initial_metadata(self, pairs: Pairs) -> None:
        self._begin(pairs)

    def set_trailing_metadata(self, pairs: Pairs) -> None:
        self.trailing = pairs

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Pairs = ()) -> NoReturn:
        """
        Raises:
            Aborted: always.
        """
        self.status, self.details = code.name, details
        self.trailing = trailing_metadata or self.trailing
        raise Aborted
