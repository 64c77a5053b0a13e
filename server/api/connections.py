"""Who is connected, over HTTP and over gRPC alike, how long each has kept the server waiting, and who has to go.

A connection waits for its client while that has sent nothing yet, half a head or half a body, does not read its answer,
or is idle. Whoever does so for too long is closed; and when all connections there may be are taken, those who have done
so for the longest make room, a sixteenth of all at once. Whoever waits for the server is never sent away.
"""

from __future__ import annotations

import asyncio
import math
from enum import Enum
from typing import Protocol

#: seconds between two looks, at least, but where a limit is shorter
INTERVAL = 1.0
_SHARE = 16  #: one of so many goes at a time, so that a look at all of them is rare


class Wait(Enum):
    """What a connection waits for; the value is the setting that bounds it."""

    FIRST_BYTE = "first_byte_timeout"
    HEAD = "head_timeout"
    BODY = "body_timeout"
    READING = "send_timeout"  #: that its client reads
    NEXT = "timeout_keep_alive"  #: another request


class ConnectionLimits(Protocol):
    """How many there may be, and by the names of `Wait`'s values for how many seconds each may wait."""

    @property
    def max_connections(self) -> int: ...


class Client(Protocol):
    """A connection."""

    def waits(self, now: float) -> tuple[Wait, float] | None:
        """What it waits for, and since when on the event loop's clock; None: its client waits for the server."""

    def expire(self, wait: Wait, seconds: float) -> None:
        """It has waited for its client for so long, which is too long."""

    def make_room(self, wait: Wait) -> None:
        """It has to go for others."""


class Connections:
    """All of them, in one process; lives on the event loop."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._all: set[Client] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._all)

    def add(self, client: Client) -> bool:
        """Count a new connection in; False where there is no room, as all others wait for the server."""
        if len(self._all) >= self._limits.max_connections:
            self._make_room()
            if len(self._all) >= self._limits.max_connections:
                return False
        self._all.add(client)
        if self._timer is None:
            self._look_later()
        return True

    def discard(self, client: Client) -> None:
        """It has ended."""
        self._all.discard(client)

    def _make_room(self) -> None:
        now = asyncio.get_running_loop().time()
        waiting = [(since, wait, client) for client in self._all for wait, since in _of(client, now)]
        waiting.sort(key=lambda each: each[0])
        for _, wait, client in waiting[: max(1, self._limits.max_connections // _SHARE)]:
            self._all.discard(client)
            client.make_room(wait)

    def _look_later(self, seconds: float = math.inf) -> None:
        """Who begins to wait after a look cannot have waited too long before the shortest limit has passed."""
        shortest = min(self._most(wait) for wait in Wait)
        wanted = max(min(seconds, shortest), min(INTERVAL, shortest / 4))
        self._timer = asyncio.get_running_loop().call_later(wanted, self._look)

    def _look(self) -> None:
        self._timer = None
        now, soonest = asyncio.get_running_loop().time(), math.inf
        for client in [*self._all]:
            for wait, since in _of(client, now):
                left = since + self._most(wait) - now
                if left <= 0:
                    client.expire(wait, self._most(wait))
                else:
                    soonest = min(soonest, left)
        if self._all:
            self._look_later(soonest)

    def _most(self, wait: Wait) -> float:
        """Seconds."""
        return float(getattr(self._limits, wait.value))


def _of(client: Client, now: float) -> list[tuple[Wait, float]]:
    found = client.waits(now)
    return [] if found is None else [found]
