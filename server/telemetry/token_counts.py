"""What is counted of language models, in plain numbers as all counts are: tokens, how fast they came, what waits.

The families have the names that vLLM's dashboards know, behind our prefix, each with the label `model`:

    polyserve_prompt_tokens_total                   polyserve_generation_tokens_total
    polyserve_time_to_first_token_seconds           polyserve_request_time_per_output_token_seconds
    polyserve_inter_token_latency_seconds           polyserve_e2e_request_latency_seconds
    polyserve_num_requests_running                  polyserve_num_requests_waiting
    polyserve_kv_cache_usage_perc (0 to 1)          polyserve_num_preemptions_total
    polyserve_prefix_cache_queries_total            polyserve_prefix_cache_hits_total (of tokens, both)
    polyserve_request_success_total{finished_reason}

A job is counted when it ends; of one whose client has left nothing is known, and nothing counted. What the engines hold
is as it was when they were last asked (`inference.engine_watch`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from server.telemetry.histogram import Histogram

#: vLLM's own buckets
_FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
_EACH = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)


_WHOLE = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0)

#: what engines tell, which counts up -> the family's tail and meaning
_COUNTED = {
    "preemptions": ("num_preemptions", "sequences that gave their cache to older ones, and were read again"),
    "prefix_queries": ("prefix_cache_queries", "tokens of prompts that were looked up in what is kept of others"),
    "prefix_hits": ("prefix_cache_hits", "tokens of prompts that were found there"),
}
_HELD = {
    "running": ("num_requests_running", "sequences that are being made"),
    "waiting": ("num_requests_waiting", "sequences that wait"),
    "cache": ("kv_cache_usage_perc", "of the cache's bytes, those that running sequences hold; 1 is all"),
}


class TokenCounts:
    """Those of one model and version."""

    def __init__(self) -> None:
        self.prompt = 0  #: tokens taken in, over all jobs
        self.generated = 0  #: tokens made
        self.finished: Counter[str] = Counter()  #: sequences, by why they ended
        #: seconds from a job's beginning to its first token; from one token of a sequence to the next, the mean of a
        #: job; each of those; from a job's beginning to its end
        self.first, self.each = Histogram(_FIRST), Histogram(_EACH)
        self.gaps, self.whole = Histogram(_EACH), Histogram(_WHOLE)
        self.counted = dict.fromkeys(_COUNTED, 0)
        self.held = dict.fromkeys(_HELD, 0.0)

    @property
    def _histograms(self) -> tuple[Histogram, ...]:
        return self.first, self.each, self.gaps, self.whole

    def job(self, last: Mapping[str, Any]) -> None:
        """A job has ended: its last part."""
        usage, seconds = last["usage"], last.get("seconds", {})
        self.prompt += usage.get("prompt_tokens", 0)
        self.generated += usage.get("completion_tokens", 0)
        self.finished.update(last.get("finished", {}))
        for name, histogram in (("first_token", self.first), ("per_token", self.each), ("whole", self.whole)):
            if name in seconds:
                histogram.observe(seconds[name])
        if "gaps" in last:
            self.gaps.merge(last["gaps"])

    def snapshot(self) -> list[Any]:
        """The counts as plain values, for another process."""
        histograms = [each.snapshot() for each in self._histograms]
        return [self.prompt, self.generated, *histograms, dict(self.finished), self.counted, self.held]

    def merge(self, snapshot: Iterable[Any]) -> None:
        """Add what another process has counted."""
        prompt, generated, *others = snapshot
        self.prompt += prompt
        self.generated += generated
        for mine, theirs in zip(self._histograms, others, strict=False):
            mine.merge(theirs)
        finished, counted, held = others[len(self._histograms) :]
        self.finished.update(finished)
        self.counted = {name: count + counted.get(name, 0) for name, count in self.counted.items()}
        self.held = {name: value + held.get(name, 0.0) for name, value in self.held.items()}


def families(models: Mapping[str, TokenCounts]) -> Iterator[Metric]:
    """Prometheus' families; none where there is no language model."""
    if not models:
        return
    yield from _totals(models)
    yield from _speeds(models)
    for name, (tail, text) in _COUNTED.items():
        counted = CounterMetricFamily(f"polyserve_{tail}", text, labels=["model"])
        for model, counts in models.items():
            counted.add_metric([model], counts.counted[name])
        yield counted
    for name, (tail, text) in _HELD.items():
        held = GaugeMetricFamily(f"polyserve_{tail}", text, labels=["model"])
        for model, counts in models.items():
            held.add_metric([model], counts.held[name])
        yield held


def _totals(models: Mapping[str, TokenCounts]) -> Iterator[Metric]:
    prompt = CounterMetricFamily("polyserve_prompt_tokens", "tokens of prompts", labels=["model"])
    generated = CounterMetricFamily("polyserve_generation_tokens", "tokens made", labels=["model"])
    success = CounterMetricFamily(
        "polyserve_request_success", "sequences that came to their end", labels=["model", "finished_reason"]
    )
    for model, counts in models.items():
        prompt.add_metric([model], counts.prompt)
        generated.add_metric([model], counts.generated)
        for reason, count in counts.finished.items():
            success.add_metric([model, reason], count)
    yield from (prompt, generated, success)


def _speeds(models: Mapping[str, TokenCounts]) -> Iterator[Metric]:
    shown: tuple[tuple[str, str, Callable[[TokenCounts], Histogram]], ...] = (
        ("time_to_first_token_seconds", "from a request to its first token", lambda counts: counts.first),
        (
            "request_time_per_output_token_seconds",
            "from one token to the next, the mean of a request",
            lambda counts: counts.each,
        ),
        ("inter_token_latency_seconds", "from one token to the next", lambda counts: counts.gaps),
        ("e2e_request_latency_seconds", "from a request to its last token", lambda counts: counts.whole),
    )
    for tail, text, histogram_of in shown:
        family = HistogramMetricFamily(f"polyserve_{tail}", text, labels=["model"])
        for model, counts in models.items():
            histogram = histogram_of(counts)
            family.add_metric([model], histogram.buckets(), histogram.total)
        yield family
