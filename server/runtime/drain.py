"""Take no new TCP connections, and lose none that is being made: a listener that is closed resets what waits in it.

A filter in the kernel drops the first packet of every new connection; whoever has had an answer to his is let in.
Clients send that packet again after a second, and find the listener closed then, or another server's in its place.

Source: Linux, Documentation/networking/filter.rst (classic BPF), include/uapi/linux/filter.h.
"""

from __future__ import annotations

import ctypes
import logging
import socket
import struct

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
