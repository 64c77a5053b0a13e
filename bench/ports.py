"""Ports for servers that benchmarks and tests start."""

from __future__ import annotations

import socket
from random import SystemRandom

#: below those that Linux gives to clients (ip(7), `ip_local_port_range`), each once
_PORTS = iter(SystemRandom().sample(range(20_000, 32_768), 12_768))


def free_port() -> int:
    """A port that nobody has, that no client gets, and that no other process gets from here before a server takes it.

    Who asks a server that does not listen yet could even be given the server's own port, and be connected to itself.
    """
    for port in _PORTS:
        if _claim(port):
            return port
    raise AssertionError("no port is free")


def _claim(port: int) -> bool:
    """Take a port for as long as this process lives, if nobody listens on it and no process has claimed it.

    Several processes (the workers of pytest-xdist, other runs) look at the same time, and each before its server
    listens. The claim is a socket with a name of Linux's abstract namespace: unique among the processes that share
    their ports, and given back by the kernel at the end of its process, whatever that is.
    """
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0polyserve-port-{port}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return False
    claim.detach()
    return True
