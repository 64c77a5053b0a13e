"""Every metric that `/metrics` shows of the server itself, as Markdown: `python -m server.telemetry.metrics_table`."""

from __future__ import annotations

import sys

from prometheus_client.core import Metric

from server.telemetry.metrics import Metrics, MetricsByModel, ModelDetails

_SUFFIXES = {"counter": "_total"}


def markdown() -> str:
    """A table: name, type, labels and meaning. `version` is there where a model has versions."""
    rows = [
        f"| `{each.name}{_SUFFIXES.get(each.type, '')}` | {each.type} | {_labels(each)} | {each.documentation} |"
        for each in _example().collect()
    ]
    return "\n".join(["| Metric | Type | Labels | Meaning |", "| --- | --- | --- | --- |", *sorted(rows)]) + "\n"


def _labels(family: Metric) -> str:
    found = dict.fromkeys(name for sample in family.samples for name in sample.labels if name != "le")
    return ", ".join(f"`{name}`" for name in found)


def _example() -> Metrics:
    """Of a server in which everything has happened once."""
    counts = MetricsByModel()
    of = counts.of("m", "1")
    of.answered("v1", 0.0, 0.1, 0.2, 0.3)
    of.called(1, [0.1])
    of.payloads_sent = of.shadow_agreed = 1
    of.generation.finished["stop"] = 1
    info = {"adapter": "a", "made_by": "b"}
    return Metrics(
        *(lambda: {"m": ("READY", 0)}, lambda: {"m": 1}, 1, counts),
        details=lambda: [ModelDetails("m", "1", info, 0.1, 0, (1,))],
        downloaded=lambda: {"m": 1},
    )


if __name__ == "__main__":
    sys.stdout.write(markdown())
