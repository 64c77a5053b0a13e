"""Ports for servers that benchmarks and tests start."""

from __future__ import annotations

import contextlib
import socket
from random import SystemRandom

#: below those that Linux gives to clients (ip(7), `ip_local_port_range`), each once
_PORTS = iter(SystemRandom().sample(range(20_000, 32_768), 12_768))


def free_port() -> int:
    """A port that nobody has, and that no client gets before the server takes it.

    Who asks a server that does not listen yet could even be given the server's own port, and be connected to itself.
    """
    for port in _PORTS:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
