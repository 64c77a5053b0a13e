"""Tell gRPC clients to leave before the gRPC server stops: its own `stop` cancels what comes in until they know.

gRPC's core sends GOAWAY and refuses calls in one step, so that calls that are on their way then are CANCELLED, and it
has no way to do the first alone. Here the listener is shut and the frame is written into each connection while the
server still serves: what is on its way is answered, and clients go elsewhere for what follows.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
import struct
import termios
from collections.abc import Iterator

from server.runtime import drain

log = logging.getLogger("kserve")

#: HTTP/2's notice of a graceful end (RFC 9113, 6.8): 8 bytes of payload, type 7, stream 0; every stream is still served
_GOAWAY = struct.pack(">BHBBIII", 0, 8, 7, 0, 0, 2**31 - 1, 0)


async def shut(port: int) -> None:
    """Take no new connections on a gRPC server's port: who leaves must not come back."""
    for end in _ends(port, listening=True):
        drain.shut(end)
    await asyncio.sleep(drain.HANDSHAKE)
    for end in _ends(port, listening=True):
        end.shutdown(socket.SHUT_RD)


def send_away(port: int, told: set[object]) -> bool:
    """Ask the clients who are not among `told` to open no new streams. Whether any is still connected."""
    connected = False
    for end in _ends(port, listening=False):
        try:
            connected, client = True, end.getpeername()
            if client not in told and not _unsent(end):  # else the server may be within a frame of its own
                end.send(_GOAWAY, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                told.add(client)
        except OSError as error:  # the client has gone by itself
            log.debug("a gRPC connection could not be told of the end: %s", error)
    return connected


def _ends(port: int, *, listening: bool) -> Iterator[socket.socket]:
    """Doubles of this process's TCP sockets on a port of its own; each is closed when the next is asked for."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  (numbers, no paths)
        try:
            end = socket.socket(fileno=os.dup(int(name)))
        except OSError:  # it is no socket, or was closed meanwhile
            continue
        with end:
            if end.family in (socket.AF_INET, socket.AF_INET6) and end.type == socket.SOCK_STREAM:
                listens = bool(end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                if listens is listening and end.getsockname()[1] == port:
                    yield end


def _unsent(end: socket.socket) -> int:
    """Bytes that have not reached the client."""
    waiting = fcntl.ioctl(end.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(waiting, "little")
