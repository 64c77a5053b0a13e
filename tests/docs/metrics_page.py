"""docs/metrics.md: every family that `/metrics` shows, asked of the registry after each kind of thing was counted."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from server.telemetry.counters import ModelMetrics
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
    """As a server shows them that has answered every kind of request, under a budget."""
    metrics = Metrics(lambda: {"a": ("READY", 0)}, memory=lambda: {"a": 1}, budget=1)
    counts: ModelMetrics = metrics.of("a")
    counts.answered("v1", 0.0, 0.001, 0.2, 0.25)
    counts.explanations.failed("v2", 501, 0.1)
    counts.called(4, [0.5])
    counts.tokens = TokenCounts()
    counts.tokens.finished["stop"] = 1
    return metrics.collect()


def page() -> str:
    """The whole page."""
    rows = []
    for family in sorted(families(), key=lambda family: family.name):
        names = {label for sample in family.samples for label in sample.labels} - {"le"}
        labels = ", ".join(f"`{name}`" for name in sorted(names))
        name = family.name + _TAILS.get(family.type, "")
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n")
    return _HEAD + "".join(rows)
