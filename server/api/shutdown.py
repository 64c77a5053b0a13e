"""An orderly end: nobody who was told that the server is there, and came, is sent away.

SIGTERM or SIGINT --> not ready --> (shutdown_delay) --> no new connections, each answer closes its own
    --> requests in flight are answered, within grace_period: by other processes first, which hand theirs on
    --> workers end --> exit 0
gRPC clients      --> asked to leave; the server stops when all have
a second signal   --> exit at once, 128 and the signal's number
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
from collections.abc import Callable
from typing import Protocol

import uvicorn

from server.api.grpc.grpc_server import GrpcServer
from server.api.rest.fast_protocol import ServerContext
from server.runtime import drain
from server.runtime.signals import Signals

log = logging.getLogger("kserve")

#: seconds that connections without a request are kept: a client may be sending one at this very moment
LINGER = 1.0
_POLL = 0.05  #: seconds between two looks at who is still connected


class Stoppable(Protocol):
    """What has to know."""

    def begin_stop(self) -> None:
        """The server has been told to stop."""


class Shutdown:
    """What happens between the first signal and the end of both servers."""

    def __init__(
        self,
        models: Stoppable,
        rest: uvicorn.Server,
        shared: ServerContext,
        grace_period: float,
        delay: float = 0.0,
        others: Callable[[float], None] = lambda grace: None,
    ) -> None:
        """`delay` and `grace_period` are seconds; `others` ends processes that hand requests on to this one; blocks."""
        self._models = models
        self._rest = rest
        self._shared = shared
        self._delay = delay
        self._grace = grace_period
        self._others = others
        self._until = math.inf  #: on the event loop's clock
        self._asked = asyncio.Event()

    def listen_to(self, signals: Signals) -> None:
        """Stop at the next signal, or at once where one has come already. Call it on the event loop."""
        loop = asyncio.get_running_loop()

        def stop(name: str) -> None:
            loop.call_soon_threadsafe(self._signalled, name)

        signals.first(stop)
        setattr(self._rest, "handle_exit", signals.handle)  # noqa: B010  (a method: uvicorn takes the signals over)

    def begin(self, grace_period: float) -> None:
        """Stop now. Call it on the event loop."""
        self._models.begin_stop()
        self._grace = grace_period
        self._asked.set()

    def _signalled(self, name: str) -> None:
        log.info(
            "%s: stopping; not ready from now on%s, requests in flight have %g s",
            name,
            f", still serving for {self._delay:g} s" if self._delay else "",
            self._grace,
        )
        self.begin(self._grace)

    async def run(self, grpc: GrpcServer | None) -> None:
        """Wait for the signal, then end both servers: uvicorn's `serve` returns then."""
        await self._asked.wait()
        await asyncio.sleep(self._delay)
        self._until = asyncio.get_running_loop().time() + LINGER + self._grace
        others = asyncio.ensure_future(asyncio.to_thread(self._others, self._grace))
        await asyncio.gather(self._end_rest(others), self._end_grpc(grpc, others))

    def _left(self) -> float:
        """Seconds that requests in flight still have."""
        return max(0.0, min(self._grace, self._until - asyncio.get_running_loop().time()))

    async def _end_grpc(self, grpc: GrpcServer | None, others: asyncio.Future[None]) -> None:
        if grpc is not None:
            await grpc.leave(LINGER + self._grace)
            await others
            await grpc.stop(self._left())

    async def _end_rest(self, others: asyncio.Future[None]) -> None:
        """Take no new connections, and let those there are have one more answer; uvicorn does the rest."""
        while not self._rest.started:  # noqa: ASYNC110  (uvicorn has no event for it)
            await asyncio.sleep(_POLL)
        self._shared.closing = True
        for server in self._rest.servers:
            for listener in _doubles(server):
                with listener:
                    drain.shut(listener)
        await asyncio.sleep(drain.HANDSHAKE)
        for server in self._rest.servers:
            self._close(server)
        await drain.until_gone(lambda: self._rest.server_state.connections, LINGER, _POLL)
        await others
        self._rest.config.timeout_graceful_shutdown = math.ceil(self._left())
        self._rest.should_exit = True

    def _close(self, server: asyncio.Server) -> None:
        """Close a listener, but for those who are connected by now: closing it would reset what waits in its queue."""
        listeners = _doubles(server)
        server.close()
        for listener in listeners:
            with listener:
                listener.setblocking(False)
                self._take_waiting(listener)

    def _take_waiting(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # nobody waits any more (or somebody has hung up: no reason to look on for ever)
                return
            connection.setblocking(False)
            task = asyncio.ensure_future(self._serve(connection))
            self._rest.server_state.tasks.add(task)
            task.add_done_callback(self._rest.server_state.tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        loop, config = asyncio.get_running_loop(), self._rest.config
        try:
            await loop.connect_accepted_socket(self._protocol, connection, ssl=config.ssl)
        except OSError as error:
            log.debug("a connection was lost while the server stopped: %s", error)

    def _protocol(self) -> asyncio.Protocol:
        made: Callable[..., asyncio.Protocol] = self._rest.config.http_protocol_class
        return made(config=self._rest.config, server_state=self._rest.server_state, app_state=self._rest.lifespan.state)


def _doubles(server: asyncio.Server) -> list[socket.socket]:
    """Sockets of our own for what a server listens on."""
    return [socket.socket(fileno=os.dup(each.fileno())) for each in server.sockets]
