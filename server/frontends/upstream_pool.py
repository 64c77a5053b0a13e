"""What the main process is asked on behalf of one client: over connections of that client's own.

No connection is shared between clients, so that whatever one makes of the bytes on it, nobody else's are among them.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from pathlib import Path

from server.errors import ClientGone, NotReady
from server.frontends.http_client import UpstreamConnection
from server.frontends.proxy_protocol import SocketAddress, preamble

#: how often, and every how many seconds, one tries to connect while the main process accepts too slowly: 30 s in all
ATTEMPTS, PAUSE = 3000, 0.01


class UpstreamPool:
    """Connections to the main process for one client, each from when it is needed until the client hangs up.

    There is one, but for moments: the next request of a pipeline may begin before the one before it has let go.
    """

    def __init__(self, path: Path, client: SocketAddress | None, server: tuple[str, int | None] | None) -> None:
        """`path` is the main process's socket; the client has connected from `client` to `server`."""
        self._path = str(path)
        self._about = (client, server)
        self._idle: UpstreamConnection | None = None
        self._taken: set[UpstreamConnection] = set()
        self.closed = False  #: the client has hung up

    async def take(self) -> UpstreamConnection:
        """A connection for one request; `give_back` it.

        Raises:
            NotReady: the main process does not answer.
            ClientGone
        """
        upstream, self._idle = self._idle, None
        if upstream is None or not upstream.reusable:
            upstream = await self._open()
        if self.closed:
            upstream.abort()
            raise ClientGone("the client has hung up")
        self._taken.add(upstream)
        return upstream

    def give_back(self, upstream: UpstreamConnection) -> None:
        """After a request; a connection on which anything is still to come is closed."""
        self._taken.discard(upstream)
        if upstream.reusable and self._idle is None and not self.closed:
            self._idle = upstream
        else:
            upstream.abort()

    def close(self) -> None:
        """The client has hung up: the main process sees it do so, in the midst of requests as well."""
        self.closed = True
        if self._idle is not None:
            self._idle.abort()
            self._idle = None
        for upstream in self._taken:
            upstream.abort()

    async def _open(self) -> UpstreamConnection:
        made = partial(UpstreamConnection, preamble(*self._about))
        try:
            end = await self._connect()
            _, upstream = await asyncio.get_running_loop().create_unix_connection(made, sock=end)
        except OSError as error:
            raise NotReady(f"the server's main process does not answer: {error.strerror}") from error
        return upstream

    async def _connect(self) -> socket.socket:
        """A socket that the main process will accept. While too many wait for that, the kernel refuses at once."""
        end = socket.socket(socket.AF_UNIX)
        end.setblocking(False)
        try:
            for _ in range(ATTEMPTS):
                try:
                    end.connect(self._path)
                except BlockingIOError:
                    await asyncio.sleep(PAUSE)
                else:
                    return end
            end.connect(self._path)
        except BaseException:
            end.close()
            raise
        return end
