"""What Prometheus reads at `/metrics`, counted so that it costs a request next to nothing.

Counts are plain numbers that only the event loop touches; they become Prometheus' families when somebody scrapes.
(An observation by `prometheus_client` takes a lock and several Python calls, and a request makes half a dozen.)

    polyserve_requests_total{model,protocol,verb,status}   polyserve_request_seconds{model,protocol,verb}
    polyserve_in_flight{model}                             polyserve_model_info{model,version,adapter,made_by}
    polyserve_load_seconds{model}                          polyserve_worker_memory_bytes{model,worker}
    polyserve_rows_total{model}                            polyserve_batch_rows{model}
    polyserve_download_bytes_total{model}                  polyserve_shadow_requests_total{model,version,result}
    polyserve_shadow_seconds_total{model,version,of}
    polyserve_queue_seconds{model}                         polyserve_queue_length{model}
    polyserve_model_state{model,state}                     polyserve_worker_restarts_total{model}
    polyserve_swaps_total{model}                           polyserve_failed_reloads_total{model}
    polyserve_model_memory_bytes{model}                    polyserve_evictions_total{model}
    polyserve_payloads_total{model,result}                 polyserve_memory_budget_bytes
    of language models: `token_counts`; of the server's certificate: `certificate_metric`

Of a model with versions the counts of requests, `load_seconds` and `worker_memory_bytes` have a label `version`, too.

KServe's histograms keep their names: `request_preprocess_seconds` is decoding, `request_predict_seconds` waiting and
predicting, `request_postprocess_seconds` encoding, `request_explain_seconds` explaining.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from server.telemetry.counters import ModelMetrics
from server.telemetry.histogram import Histogram
from server.telemetry.token_counts import families

__all__ = ["CounterSnapshot", "Metrics", "MetricsByModel"]

#: counts by model and version, as plain values
CounterSnapshot: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Any]]]

_INFO = ("adapter", "made_by")

#: by what `ModelMetrics` calls them: name, meaning and label
_HISTOGRAMS = {
    "preprocess": ("request_preprocess_seconds", "pre-process request latency", "model_name"),
    "predict": ("request_predict_seconds", "predict request latency", "model_name"),
    "postprocess": ("request_postprocess_seconds", "post-process request latency", "model_name"),
    "explain": ("request_explain_seconds", "explain request latency", "model_name"),
    "batch": ("polyserve_batch_rows", "rows in one call of the model", "model"),
    "queue": ("polyserve_queue_seconds", "how long requests waited", "model"),
}


class ModelDetails(NamedTuple):
    """A version that is in memory."""

    model: str
    version: str  #: "" for a folder without any
    info: Mapping[str, str]  #: what does not change: labels of `model_info`
    seconds: float  #: that loading took
    in_flight: int  #: requests that it is at, in this process
    workers: Sequence[int]  #: resident bytes of each process of its own


class MetricsByModel:
    """The counts of each model by version. They stay when a model goes."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, ModelMetrics]] = {}

    def of(self, model: str, version: str = "") -> ModelMetrics:
        """What to count in; what is nobody's in particular counts for the version ""."""
        return self._models.setdefault(model, {}).setdefault(version, ModelMetrics())

    def versions(self, model: str) -> dict[str, ModelMetrics]:
        """What is counted of one model, by version."""
        return dict(self._models.get(model, {}))

    def all(self) -> dict[str, ModelMetrics]:
        """What is counted of each model: all its versions together."""
        return {model: _sum(list(versions.values())) for model, versions in list(self._models.items())}

    def each(self) -> list[tuple[str, str, ModelMetrics]]:
        """Model, version and what is counted of it; "" is what is nobody's in particular."""
        return [
            (name, version, each) for name, all_ in list(self._models.items()) for version, each in list(all_.items())
        ]

    def merge(self, snapshot: CounterSnapshot) -> None:
        """Add what another process has counted."""
        for model, versions in snapshot.items():
            for version, counts in versions.items():
                self.of(model, version).merge(counts)

    def snapshot(self, asked: bool = False) -> CounterSnapshot:
        """As plain values, for another process. `asked`: of those versions only that had requests."""
        models: dict[str, dict[str, Mapping[str, Any]]] = {}
        for model, versions in list(self._models.items()):
            for version, counts in list(versions.items()):
                if counts.has_requests or not asked:
                    models.setdefault(model, {})[version] = counts.snapshot()
        return models


def _sum(each: Sequence[ModelMetrics]) -> ModelMetrics:
    """The counts of all of them; one alone is itself."""
    if len(each) == 1:
        return each[0]
    total = ModelMetrics()
    for metrics in each:
        total.merge(metrics.snapshot())
    return total


def _no_snapshots() -> Sequence[CounterSnapshot]:
    """There is one process."""
    return ()


def _no_sizes() -> Mapping[str, int]:
    """Nobody measures what models take."""
    return {}


class Metrics(Collector):
    """All models' counts, and the states of the repository, as Prometheus families."""

    def __init__(
        self,
        states: Callable[[], Mapping[str, tuple[str, int]]],
        memory: Callable[[], Mapping[str, int]] = _no_sizes,
        budget: int | None = None,
        counts: MetricsByModel | None = None,
        other_processes: Callable[[], Sequence[CounterSnapshot]] = _no_snapshots,
        *,
        details: Callable[[], Sequence[ModelDetails]] = lambda: (),
        in_flight_elsewhere: Callable[[str], int] = lambda model: 0,
        downloaded: Callable[[], Mapping[str, int]] = _no_sizes,
        others: Callable[[], Iterable[Metric]] = lambda: (),
    ) -> None:
        """`states` gives each model's state and the length of its queue; `memory` the bytes of those in memory.

        `other_processes` gives what those that answer for this one's models have counted, by process, and
        `in_flight_elsewhere` how many requests they are at. `details` tells of what is in memory, `downloaded` the
        bytes of what comes from stores, `others` are families of users' own.
        """
        self._states = states
        self._memory = memory
        self._budget = budget
        self._counts = counts or MetricsByModel()
        self._other_processes = other_processes
        self._details = details
        self._in_flight_elsewhere = in_flight_elsewhere
        self._downloaded = downloaded
        self._others = others

    def of(self, model: str) -> ModelMetrics:
        """What is counted of one model in this process, all its versions together."""
        return _sum(list(self._counts.versions(model).values()) or [self._counts.of(model)])

    def versions(self, model: str) -> dict[str, ModelMetrics]:
        """What is counted of one model by version, in all processes."""
        return self._summed().versions(model)

    def collect(self) -> Iterator[Metric]:
        summed = self._summed()
        models = list(summed.all().items())
        counted = [(model, metrics.histograms) for model, metrics in models]
        for histogram, (name, text, label) in _HISTOGRAMS.items():
            family = HistogramMetricFamily(name, text, labels=[label])
            for model, histograms in counted:
                _add(family, [model], histograms[histogram])
            yield family
        yield from self._requests(summed.each())
        yield from self._queues(models)
        yield from self._sizes(models)
        yield from self._loaded()
        yield from _shadows(summed.each())
        yield from self._others()
        yield from families({model: metrics.tokens for model, metrics in models if metrics.tokens is not None})

    def _summed(self) -> MetricsByModel:
        """The counts of all processes together."""
        others = self._other_processes()
        if not any(others):
            return self._counts
        summed = MetricsByModel()
        for snapshot in (self._counts.snapshot(), *others):
            summed.merge(snapshot)
        return summed

    def _requests(self, models: list[tuple[str, str, ModelMetrics]]) -> Iterator[Metric]:
        """By version as well, where a model has some: a family's last label is left out where it has no value."""
        labels = ["model", "protocol", "verb"]
        text = "requests by HTTP status (gRPC mapped)"
        requests = CounterMetricFamily("polyserve_requests", text, labels=[*labels, "status", "version"])
        seconds = HistogramMetricFamily("polyserve_request_seconds", "from bytes to bytes", labels=[*labels, "version"])
        rows = CounterMetricFamily("polyserve_rows", "rows predicted or explained", labels=["model", "version"])
        for model, number, metrics in models:
            version = [number] if number else []
            for verb, counts in metrics.verbs().items():
                for (protocol, status), count in list(counts.requests.items()):
                    requests.add_metric([model, protocol, verb, str(status), *version], count)
                for protocol, histogram in list(counts.latency.items()):
                    _add(seconds, [model, protocol, verb, *version], histogram)
            rows.add_metric([model, *version], metrics.rows)
        yield from (requests, seconds, rows)

    def _queues(self, models: list[tuple[str, ModelMetrics]]) -> Iterator[Metric]:
        length = GaugeMetricFamily("polyserve_queue_length", "requests that wait", labels=["model"])
        state = GaugeMetricFamily("polyserve_model_state", "1 for the state it is in", labels=["model", "state"])
        restarts = CounterMetricFamily("polyserve_worker_restarts", "workers started again", labels=["model"])
        swaps = CounterMetricFamily("polyserve_swaps", "a newer model took over", labels=["model"])
        failed = CounterMetricFamily("polyserve_failed_reloads", "a newer model failed to load", labels=["model"])
        for model, metrics in models:
            restarts.add_metric([model], metrics.restarts)
            swaps.add_metric([model], metrics.swaps)
            failed.add_metric([model], metrics.failed_reloads)
        for model, (name, waiting) in self._states().items():
            length.add_metric([model], waiting)
            state.add_metric([model, name], 1)
        yield from (length, state, restarts, swaps, failed)

    def _loaded(self) -> Iterator[Metric]:
        """What is told of the models in memory."""
        busy = GaugeMetricFamily("polyserve_in_flight", "requests under way", labels=["model"])
        info = GaugeMetricFamily("polyserve_model_info", "1 for what serves", labels=["model", "version", *_INFO])
        took = GaugeMetricFamily("polyserve_load_seconds", "what loading took", labels=["model", "version"])
        workers = GaugeMetricFamily(
            "polyserve_worker_memory_bytes", "resident, of a process of its own", labels=["model", "worker", "version"]
        )
        download = CounterMetricFamily("polyserve_download_bytes", "bytes from stores", labels=["model"])
        in_flight: Counter[str] = Counter()
        for each in self._details():
            version = [each.version] if each.version else []
            in_flight[each.model] += each.in_flight
            info.add_metric([each.model, each.version, *(each.info.get(name, "") for name in _INFO)], 1)
            took.add_metric([each.model, *version], each.seconds)
            for number, size in enumerate(each.workers):
                workers.add_metric([each.model, str(number), *version], size)
        for model, count in in_flight.items():
            busy.add_metric([model], count + self._in_flight_elsewhere(model))
        for model, size in self._downloaded().items():
            download.add_metric([model], size)
        yield from (busy, info, took, workers, download)

    def _sizes(self, models: list[tuple[str, ModelMetrics]]) -> Iterator[Metric]:
        memory = GaugeMetricFamily("polyserve_model_memory_bytes", "what it took to load it", labels=["model"])
        evictions = CounterMetricFamily("polyserve_evictions", "times it made room for others", labels=["model"])
        for model, size in self._memory().items():
            memory.add_metric([model], size)
        payloads = CounterMetricFamily("polyserve_payloads", "requests and answers logged", labels=["model", "result"])
        for model, metrics in models:
            evictions.add_metric([model], metrics.evictions)
            results = {"sent": metrics.payloads_sent, "dropped": metrics.payloads_dropped}
            for result, count in {**results, "failed": metrics.payloads_failed}.items():
                if any(results.values()) or metrics.payloads_failed:
                    payloads.add_metric([model, result], count)
        yield from (memory, evictions, payloads)
        if self._budget is not None:
            yield GaugeMetricFamily("polyserve_memory_budget_bytes", "what models may take", value=self._budget)


def _shadows(models: Sequence[tuple[str, str, ModelMetrics]]) -> Iterator[Metric]:
    """Of versions that run beside others."""
    labels = ["model", "version"]
    answers = CounterMetricFamily("polyserve_shadow_requests", "answers of a shadow", labels=[*labels, "result"])
    seconds = CounterMetricFamily("polyserve_shadow_seconds", "what both took for the same", labels=[*labels, "of"])
    for model, version, counts in models:
        results = {name: getattr(counts, f"shadow_{name}") for name in ("agreed", "differed", "failed", "skipped")}
        if any(results.values()):
            for result, count in results.items():
                answers.add_metric([model, version, result], count)
            seconds.add_metric([model, version, "shadow"], counts.shadow_seconds)
            seconds.add_metric([model, version, "serving"], counts.served_seconds)
    yield from (answers, seconds)


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    family.add_metric(labels, histogram.buckets(), histogram.total)
