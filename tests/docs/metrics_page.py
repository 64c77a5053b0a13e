"""docs/metrics.md: every family that `/metrics` shows, asked of the collector."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from server.telemetry.metrics import Metrics
from server.telemetry.token_counts import TokenCounts

_HEAD = """\
# Metrics

Prometheus reads them at `/metrics`; with `--workers` the sums over all processes. Names without `polyserve_` are those
of KServe's own servers, so that their dashboards work. Dashboard and alerts: [deploy/](../deploy/README.md).

| metric | kind | labels | meaning |
| --- | --- | --- | --- |
"""
_TAILS = {"counter": "_total"}


def families() -> Iterator[Metric]:
    """As a server with one model under a budget shows them."""
    metrics = Metrics(lambda: {"a": ("READY", 0)}, budget=1)
    metrics.of("a").tokens = TokenCounts()
    return metrics.collect()


def page() -> str:
    """The whole page."""
    rows = []
    for family in sorted(families(), key=lambda family: family.name):
        labels = ", ".join(f"`{name}`" for name in family._labelnames)  # also where nothing was counted
        name = family.name + _TAILS.get(family.type, "")
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n")
    return _HEAD + "".join(rows)
