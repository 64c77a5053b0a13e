"""PolyServe that counts none of the requests it answers: what counting costs shows beside it."""

from __future__ import annotations

from collections.abc import Iterable

from server.__main__ import main
from server.counts import ModelMetrics, Requests


def _answered(self: Requests, protocol: str, start: float, decoded: float, predicted: float, end: float) -> None: ...


def _called(self: ModelMetrics, rows: int, waits: Iterable[float]) -> None: ...


if __name__ == "__main__":
    Requests.answered = _answered  # type: ignore[method-assign]
    ModelMetrics.called = _called  # type: ignore[method-assign]
    main()
