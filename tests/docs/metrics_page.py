"""docs/metrics.md: every family that `/metrics` shows, asked of the registry after each kind of thing was counted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from prometheus_client.core import Metric

from server.telemetry.certificate_metric import CertificateMetric
from server.telemetry.counters import ModelMetrics
from server.telemetry.metrics import Metrics, MetricsByModel, ModelDetails
from server.telemetry.token_counts import TokenCounts

_HEAD = """\
# Metrics

Prometheus reads them at `/metrics`; with `--workers` the sums over all processes. Names without `polyserve_` are those
of KServe's own servers, so that their dashboards work. `version` is there
for models with versions alone. Dashboard and alerts: [deploy/](../deploy/README.md).

| metric | kind | labels | meaning |
| --- | --- | --- | --- |
"""
_TAILS = {"counter": "_total"}


def families() -> Iterator[Metric]:
    """As a server shows them that has answered every kind of request, under a budget."""
    by_model = MetricsByModel()
    metrics = Metrics(
        *(lambda: {"a": ("READY", 0)}, lambda: {"a": 1}, 1, by_model),
        details=lambda: [ModelDetails("a", "1", {"adapter": "sklearn"}, 0.1, 0, (1,))],
        downloaded=lambda: {"a": 1},
    )
    counts: ModelMetrics = by_model.of("a", "1")
    counts.payloads_sent = counts.shadow_agreed = 1
    counts.answered("v1", 0.0, 0.001, 0.2, 0.25)
    counts.explanations.failed("v2", 501, 0.1)
    counts.called(4, [0.5])
    counts.tokens = TokenCounts()
    counts.tokens.finished["stop"] = 1
    return chain(metrics.collect(), CertificateMetric(lambda: 1.0).collect())


def page() -> str:
    """The whole page."""
    rows = []
    for family in sorted(families(), key=lambda family: family.name):
        names = {label for sample in family.samples for label in sample.labels} - {"le"}
        labels = ", ".join(f"`{name}`" for name in sorted(names))
        name = family.name + _TAILS.get(family.type, "")
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n")
    return _HEAD + "".join(rows)
