"""What is counted of language models, in plain numbers as all counts are: tokens, and how fast they came.

The families have the names that vLLM's dashboards know, behind our prefix:

    polyserve_prompt_tokens_total{model}                  polyserve_generation_tokens_total{model}
    polyserve_time_to_first_token_seconds{model}          polyserve_request_time_per_output_token_seconds{model}

A job is counted when it ends; of one whose client has left nothing is known, and nothing counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from server.telemetry.histogram import Histogram

#: vLLM's own buckets
_FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
_EACH = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)


class TokenCounts:
    """Those of one model and version."""

    def __init__(self) -> None:
        self.prompt = 0  #: tokens taken in, over all jobs
        self.generated = 0  #: tokens made
        self.first = Histogram(_FIRST)  #: seconds from a job's beginning to its first token
        self.each = Histogram(_EACH)  #: seconds from one token of a sequence to the next, the mean of a job

    def job(self, usage: Mapping[str, int], seconds: Mapping[str, float]) -> None:
        """A job has ended: what its last part says."""
        self.prompt += usage.get("prompt_tokens", 0)
        self.generated += usage.get("completion_tokens", 0)
        for name, histogram in (("first_token", self.first), ("per_token", self.each)):
            if name in seconds:
                histogram.observe(seconds[name])

    def snapshot(self) -> list[Any]:
        """The counts as plain values, for another process."""
        return [self.prompt, self.generated, self.first.snapshot(), self.each.snapshot()]

    def merge(self, snapshot: Iterable[Any]) -> None:
        """Add what another process has counted."""
        prompt, generated, first, each = snapshot
        self.prompt += prompt
        self.generated += generated
        self.first.merge(first)
        self.each.merge(each)


def families(models: Mapping[str, TokenCounts]) -> Iterator[Metric]:
    """Prometheus' families; none where there is no language model."""
    if not models:
        return
    prompt = CounterMetricFamily("polyserve_prompt_tokens", "tokens of prompts", labels=["model"])
    generated = CounterMetricFamily("polyserve_generation_tokens", "tokens made", labels=["model"])
    first = HistogramMetricFamily(
        "polyserve_time_to_first_token_seconds", "from a request to its first token", labels=["model"]
    )
    each = HistogramMetricFamily(
        "polyserve_request_time_per_output_token_seconds", "from one token to the next", labels=["model"]
    )
    for model, counts in models.items():
        prompt.add_metric([model], counts.prompt)
        generated.add_metric([model], counts.generated)
        first.add_metric([model], counts.first.buckets(), counts.first.total)
        each.add_metric([model], counts.each.buckets(), counts.each.total)
    yield from (prompt, generated, first, each)
