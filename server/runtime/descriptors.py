"""How many files and sockets this process may have open: connections must leave some for models, workers and logs."""

from __future__ import annotations

import resource
from typing import NamedTuple

#: as many as are asked for, where the system gives them: programs that look at each of them get slow with more
ENOUGH = 65536


def raise_limit() -> int:
    """Take as many descriptors as the system gives without being asked twice; the number of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return ENOUGH if soft == resource.RLIM_INFINITY else soft


class Shares(NamedTuple):
    """The connections that one process may hold."""

    http: int
    grpc: int

    @classmethod
    def of(cls, wanted: int, processes: int) -> Shares:
        """Of so many over HTTP, and over gRPC, for as many processes on the same ports."""
        return cls.within(wanted, processes, raise_limit())

    @classmethod
    def within(cls, wanted: int, processes: int, descriptors: int) -> Shares:
        """A half of the descriptors is for HTTP, a quarter for gRPC.

        The main process holds a connection for each of the others' clients, too.
        """
        http, grpc = (min(wanted, descriptors // part) // processes for part in (2, 4))
        return cls(max(1, http), max(1, grpc))
