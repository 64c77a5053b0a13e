"""Ports that several processes of one server listen on: the kernel deals new connections out to them."""

from __future__ import annotations

import errno
import socket


class PortTaken(Exception):
    """Somebody else listens on the port."""


def shared_listener(port: int) -> socket.socket:
    """A socket bound to a TCP port of all IPv4 addresses, which this user's other processes may bind, too; 0: any.

    Raises:
        PortTaken
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("0.0.0.0", port))
    except OSError as error:
        listener.close()
        raise PortTaken(error.strerror) from error
    return listener


def check_free(port: int) -> None:
    """
    Raises:
        PortTaken: somebody listens on the port, also one who would share it: a second server is no partner.
    """
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended do not count
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):  # else the machine has no IPv6
                raise PortTaken(error.strerror) from error
