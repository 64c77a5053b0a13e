"""What a program tells of itself in Prometheus' text, in the words of our engines."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from adapters.generation.engine import EngineUsage
from adapters.upstream.program import Metrics
from adapters.upstream.socket_http import BrokenAnswer, Exchange

_LONGEST = 4 << 20  #: bytes
_SECONDS = 5.0
_PARTS = 1_000_000  #: a share of a cache whose bytes nobody tells, in millionths


async def usage_of(socket: Path, metrics: Metrics, open_requests: int) -> EngineUsage:
    """What it holds at this moment; where it tells nothing, what is known here: the requests that are open."""
    found = parse(await _text(socket))
    return EngineUsage(
        running=_whole(found, metrics.running, open_requests),
        waiting=_whole(found, metrics.waiting),
        cache_bytes=0,
        cache_limit=_PARTS,
        prefix_hits=_whole(found, metrics.prefix_hits),
        prompt_tokens=_whole(found, metrics.prefix_queries or metrics.prompt_tokens),
        generated_tokens=_whole(found, metrics.generated_tokens),
        running_bytes=round(min(1.0, found.get(metrics.cache, 0.0)) * _PARTS),
        preemptions=_whole(found, metrics.preemptions),
    )


def parse(text: str) -> Mapping[str, float]:
    """Values by the names of their families: labels (the model, the engine's number) are added up."""
    found: dict[str, float] = defaultdict(float)
    for line in text.splitlines():
        head, _, value = line.rpartition(" ")
        if not head or line.startswith("#"):
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        if math.isfinite(number) and number >= 0:
            found[head.partition("{")[0].strip()] += number
    return found


def _whole(found: Mapping[str, float], name: str, otherwise: int = 0) -> int:
    return int(found[name]) if name in found else otherwise


async def _text(socket: Path) -> str:
    try:
        async with asyncio.timeout(_SECONDS):
            exchange = await Exchange.begin(socket, "GET", "/metrics")
            try:
                return (await exchange.body(_LONGEST)).decode(errors="replace") if exchange.status == 200 else ""
            finally:
                exchange.close()
    except (BrokenAnswer, TimeoutError):
        return ""
