"""Take no new TCP connections, and lose none that is being made: a listener that is closed resets what waits in it.

A filter in the kernel drops the first packet of every new connection; whoever has had an answer to his is let in.
Clients send that packet again after a second, and find the listener closed then, or another server's in its place.

gRPC's own `stop` cancels every call that is on its way when it begins. So its clients have to have left before: its
port is closed by `close_port`, `has_connections` tells whether clients are still there, and gRPC itself asks each to go
when its connection has reached its age (`server.api.grpc.service.MAX_CONNECTION_AGE`). gRPC hands its sockets out to
nobody, so they are looked up among the process's own; what goes over them is gRPC's alone, encrypted or not.

Source: Linux, Documentation/networking/filter.rst (classic BPF), include/uapi/linux/filter.h.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import math
import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator

log = logging.getLogger("kserve")

#: seconds in which the client's answer to the server's first packet should have come
HANDSHAKE = 0.25

_SO_ATTACH_FILTER = 26
#: (code, jump if true, jump if false, operand): load the byte of TCP's flags; SYN? drop the packet : take all of it
_NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


def shut(listener: socket.socket) -> None:
    """From now on no connection is begun; those that have been can still be accepted."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _NO_SYN))
    try:
        pointer = struct.pack("HxxxxxxP", len(_NO_SYN), ctypes.addressof(program))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)
    except OSError as error:  # no Linux, or a sandbox: connections that are made right now may be lost
        log.debug("new connections cannot be held off: %s", error)


async def close_port(port: int) -> None:
    """Take no new connections on a TCP port that this process listens on by a library that cannot be asked to.

    gRPC asks a listener that was shut down for a connection, and prints an error at every stop: it finds another in its
    place, to which nobody connects.
    """
    for _, listener in _sockets(port, listening=True):
        shut(listener)
    await asyncio.sleep(HANDSHAKE)
    for descriptor, listener in _sockets(port, listening=True):
        with _never_connected() as stand_in:
            os.dup2(stand_in.fileno(), descriptor, inheritable=False)
        listener.shutdown(socket.SHUT_RD)


async def until_gone(connected: Callable[[], object], seconds: float, poll: float) -> None:
    """Wait until all clients have left, or those that are left had so many seconds to do so.

    Looks are counted, not time: for as long as this process stood still nobody was heard, whatever was sent.
    """
    for _ in range(math.ceil(seconds / poll)):
        if not connected():
            return
        await asyncio.sleep(poll)


def has_connections(port: int) -> bool:
    """Whether anybody is connected to a TCP port of this process's own."""
    return any(_is_connected(each) for _, each in _sockets(port, listening=False))


def _never_connected() -> socket.socket:
    """A listener with nobody in its queue, at an address that the kernel makes up and nobody is told."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.bind("")
    listener.listen(0)
    return listener


def _sockets(port: int, *, listening: bool) -> Iterator[tuple[int, socket.socket]]:
    """Descriptors and doubles of this process's TCP sockets on a port of its own; a double lives until the next."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  (numbers, no paths)
        if (double := _double(int(name))) is None:
            continue
        with double:
            if double.family in (socket.AF_INET, socket.AF_INET6) and double.type == socket.SOCK_STREAM:
                listens = bool(double.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                if listens is listening and double.getsockname()[1] == port:
                    yield int(name), double


def _double(descriptor: int) -> socket.socket | None:
    """A socket of our own for the one under a descriptor; None where there is none (any more)."""
    try:
        double = os.dup(descriptor)
    except OSError:  # it was closed meanwhile
        return None
    if stat.S_ISSOCK(os.fstat(double).st_mode):
        return socket.socket(fileno=double)
    os.close(double)
    return None


def _is_connected(end: socket.socket) -> bool:
    try:
        end.getpeername()
    except OSError:  # the client has left
        return False
    return True
