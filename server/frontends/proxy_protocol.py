"""Who a connection to the main process is made for: its first line, before any byte that a client has sent.

It is the PROXY protocol's, version 1 (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.1):

    PROXY TCP4 203.0.113.7 10.0.0.1 51234 8080\r\n
    PROXY UNKNOWN\r\n
"""

from __future__ import annotations

import socket
from typing import TypeAlias

#: host and port
SocketAddress: TypeAlias = tuple[str, int]

#: bytes of a line, its end included
LONGEST = 107
_UNKNOWN = b"PROXY UNKNOWN\r\n"
_MOST_PORT = 65535


def preamble(client: SocketAddress | None, server: tuple[str, int | None] | None) -> bytes:
    """The line for a client of this address that has connected to this address of the server."""
    if client is None or server is None or server[1] is None:
        return _UNKNOWN
    source, destination = client[0].partition("%")[0], server[0].partition("%")[0]  # without IPv6's zones
    try:
        family = _family(source, destination)
    except ValueError:
        return _UNKNOWN
    return f"PROXY {family} {source} {destination} {client[1]} {server[1]}\r\n".encode("ascii")


def addresses(line: bytes) -> tuple[SocketAddress, SocketAddress] | None:
    """The client's address and the server's, as they were given to `preamble`; None for a client without one.

    Raises:
        ValueError: the line is none of the protocol's.
    """
    if line == _UNKNOWN:
        return None
    if not line.endswith(b"\r\n") or len(line) > LONGEST:
        raise ValueError("no whole line of the PROXY protocol")
    word, family, source, destination, *ports = line[:-2].decode("ascii").split(" ")
    if word != "PROXY" or len(ports) != 2 or family != _family(source, destination):
        raise ValueError("no line of the PROXY protocol, version 1")
    return (source, _port(ports[0])), (destination, _port(ports[1]))


def _family(source: str, destination: str) -> str:
    """
    Raises:
        ValueError: these are not two addresses of one family.
    """
    family, name = (socket.AF_INET6, "TCP6") if ":" in source else (socket.AF_INET, "TCP4")
    try:
        socket.inet_pton(family, source)
        socket.inet_pton(family, destination)
    except OSError as error:
        raise ValueError(f"no {name} addresses: {source}, {destination}") from error
    return name


def _port(digits: str) -> int:
    port = int(digits)
    if str(port) != digits or not 0 <= port <= _MOST_PORT:
        raise ValueError(f"no port: {digits}")
    return port
