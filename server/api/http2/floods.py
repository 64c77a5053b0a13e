"""How often a client may do what costs the server more than it costs him: beyond that the connection ends.

Frames that carry nothing of a request (SETTINGS, PING, PRIORITY, empty ones) and streams that are begun and thrown
away (CVE-2023-44487) are counted by the second.
"""

from __future__ import annotations

from collections.abc import Callable

from server.api.http2.frames import ConnectionFailure, ErrorCode

#: frames a second that carry nothing
MOST_IDLE_FRAMES = 1000
#: WINDOW_UPDATE frames a second: one comes for every few frames of answers
MOST_UPDATES = 20_000
#: streams a second that the client resets, or has us reset
MOST_RESETS = 1000


class FrameRate:
    """One kind of frames of one connection."""

    __slots__ = ("_clock", "_most", "_seen", "_since", "_what")

    def __init__(self, what: str, most: int, clock: Callable[[], float]) -> None:
        """`most` a second of the clock's; `what` they are, for who is sent away."""
        self._what = what
        self._most = most
        self._clock = clock
        self._since = clock()
        self._seen = 0

    def count(self) -> None:
        """One more.

        Raises:
            ConnectionFailure: there were too many within a second.
        """
        self._seen += 1
        if self._seen > self._most:
            now = self._clock()
            if now - self._since < 1:
                raise ConnectionFailure(
                    ErrorCode.ENHANCE_YOUR_CALM, f"more than {self._most} {self._what} within a second"
                )
            self._since, self._seen = now, 1
