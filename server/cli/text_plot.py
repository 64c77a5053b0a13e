"""Bars of characters: how fast, and how long it took how often."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from server.cli.screen import paint

_BINS = 12
_COLUMNS = 40


def bars(rows: Sequence[tuple[str, float, str]]) -> list[str]:
    """A line for each (label, value, what to write behind the bar); the longest bar is of the largest value."""
    if not rows:
        return []
    largest = max(value for _, value, _ in rows) or 1.0
    widest = max(len(label) for label, _, _ in rows)
    return [
        f"  {label.rjust(widest)} {paint(_bar(value / largest), 'cyan')} {behind}".rstrip()
        for label, value, behind in rows
    ]


def histogram(seconds: Sequence[float]) -> list[str]:
    """How many took how long, in milliseconds; each bin is as much wider than the one before as that one is."""
    if not seconds:
        return []
    low, high = max(min(seconds), 1e-6), max(seconds)
    ratio = max((high / low) ** (1 / _BINS), 1.0 + 1e-9)
    counts = [0] * _BINS
    for each in seconds:
        place = int(math.log(max(each, low) / low) / math.log(ratio))
        counts[min(place, _BINS - 1)] += 1
    edges = [1000 * low * ratio ** (place + 1) for place in range(_BINS)]
    rows = [
        (f"to {milliseconds(edge)} ms", float(count), str(count)) for edge, count in zip(edges, counts, strict=True)
    ]
    last = max((place for place, count in enumerate(counts) if count), default=0)
    return bars(rows[: last + 1])


def milliseconds(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _bar(share: float) -> str:
    return _block() * (max(1, round(share * _COLUMNS)) if share > 0 else 0)


def _block() -> str:
    return "█" if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8" else "#"
