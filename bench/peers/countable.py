"""PolyServe, told by signals to count no requests (SIGUSR1) and to count them again (SIGUSR2).

Two processes of the same program differ by some percent, by how their memory happens to lie: only one process that does
now this and now that can show less.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable

from server.__main__ import main
from server.telemetry.counters import ModelMetrics, Requests

_ANSWERED, _CALLED = Requests.answered, ModelMetrics.called


def _not_answered(
    self: Requests, protocol: str, start: float, decoded: float, predicted: float, end: float
) -> None: ...


def _not_called(self: ModelMetrics, rows: int, waits: Iterable[float]) -> None: ...


def _count(signum: int, _: object) -> None:
    counts = signum == signal.SIGUSR2
    Requests.answered = _ANSWERED if counts else _not_answered  # type: ignore[method-assign]
    ModelMetrics.called = _CALLED if counts else _not_called  # type: ignore[method-assign]


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _count)
    signal.signal(signal.SIGUSR2, _count)
    main()
