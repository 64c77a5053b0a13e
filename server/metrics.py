"""What Prometheus reads at `/metrics`, counted so that it costs a request next to nothing.

Counts are plain numbers that only the event loop touches; they become Prometheus' families when somebody scrapes.
(An observation by `prometheus_client` takes a lock and several Python calls, and a request makes half a dozen.)

    polyserve_requests_total{model,protocol,verb,status}   polyserve_request_seconds{model,protocol,verb}
    polyserve_rows_total{model}                            polyserve_batch_rows{model}
    polyserve_queue_seconds{model}                         polyserve_queue_length{model}
    polyserve_model_state{model,state}                     polyserve_worker_restarts_total{model}
    polyserve_swaps_total{model}                           polyserve_failed_reloads_total{model}
    polyserve_model_memory_bytes{model}                    polyserve_evictions_total{model}
    polyserve_memory_budget_bytes

KServe's histograms keep their names: `request_preprocess_seconds` is decoding, `request_predict_seconds` waiting and
predicting, `request_postprocess_seconds` encoding, `request_explain_seconds` explaining.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import perf_counter as now

from kserve.metrics import EXPLAIN_HIST_TIME, POST_HIST_TIME, PRE_HIST_TIME, PREDICT_HIST_TIME
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["Metrics", "ModelMetrics", "now"]

#: KServe's buckets are Prometheus' defaults; ours begin where a fast request ends
KSERVE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)

_KSERVE = {
    "preprocess": ("request_preprocess_seconds", "pre-process request latency"),
    "predict": ("request_predict_seconds", "predict request latency"),
    "postprocess": ("request_postprocess_seconds", "post-process request latency"),
    "explain": ("request_explain_seconds", "explain request latency"),
}


class Histogram:
    """Counts by bucket."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        names = [*map(str, map(float, self.bounds)), "+Inf"]
        counts, below = [], 0
        for count in self.counts:
            below += count
            counts.append(float(below))
        return list(zip(names, counts, strict=True))


class Requests:
    """The requests of one model and verb; `steps` take the seconds of decoding, the model and encoding."""

    def __init__(self, *steps: Histogram) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.latency: dict[str, Histogram] = {}
        self._steps = [step.observe for step in steps]

    def answered(self, protocol: str, start: float, decoded: float, predicted: float, end: float) -> None:
        """A request that was answered: the marks of `now()` between its steps."""
        self.requests[protocol, 200] += 1
        preprocess, predict, postprocess = self._steps
        preprocess(decoded - start)
        predict(predicted - decoded)
        postprocess(end - predicted)
        self._latency(protocol).observe(end - start)

    def failed(self, protocol: str, status: int, seconds: float) -> None:
        """A request that ended in an error."""
        self.requests[protocol, status] += 1
        self._latency(protocol).observe(seconds)

    def _latency(self, protocol: str) -> Histogram:
        histogram = self.latency.get(protocol)
        if histogram is None:
            histogram = self.latency[protocol] = Histogram(SECONDS)
        return histogram


class ModelMetrics(Requests):
    """The counts of one model name, which outlive a reload: of predictions, and of explanations apart."""

    def __init__(self) -> None:
        self.steps = {step: Histogram(KSERVE_SECONDS) for step in _KSERVE}
        super().__init__(self.steps["preprocess"], self.steps["predict"], self.steps["postprocess"])
        self.explanations = Requests(self.steps["preprocess"], self.steps["explain"], self.steps["postprocess"])
        self.queue = Histogram(SECONDS)
        self.batch = Histogram(ROWS)
        self.rows = 0
        self.restarts = 0  #: of its workers
        self.swaps = 0  #: one loaded model took the place of another
        self.evictions = 0  #: to make room for others in the memory budget
        self.failed_reloads = 0  #: one that was to take the place of another could not be loaded

    def restarted(self) -> None:
        """A worker died and is started again; one thread at a time."""
        self.restarts += 1

    def called(self, rows: int, waits: Iterable[float]) -> None:
        """One call of the model: its rows, and how long each of its requests waited, in seconds."""
        self.rows += rows
        self.batch.observe(rows)
        for wait in waits:
            self.queue.observe(wait)

    def verbs(self) -> dict[str, Requests]:
        """The requests by what they asked for."""
        return {"predict": self, "explain": self.explanations}


class Metrics(Collector):
    """All models' counts, and the states of the repository, as Prometheus families."""

    def __init__(
        self,
        states: Callable[[], dict[str, tuple[str, int]]],
        memory: Callable[[], dict[str, int]] = dict,
        budget: int | None = None,
    ) -> None:
        """`states` gives each model's state and the length of its queue; `memory` the bytes of those in memory."""
        self._states = states
        self._memory = memory
        self._budget = budget
        self._models: dict[str, ModelMetrics] = {}

    def of(self, model: str) -> ModelMetrics:
        return self._models.setdefault(model, ModelMetrics())

    def register(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Take the place of KServe's histograms, which only its own data plane would fill."""
        for theirs in (PRE_HIST_TIME, PREDICT_HIST_TIME, POST_HIST_TIME, EXPLAIN_HIST_TIME):
            registry.unregister(theirs)
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        models = list(self._models.items())
        for step, (name, text) in _KSERVE.items():
            family = HistogramMetricFamily(name, text, labels=["model_name"])
            for model, metrics in models:
                _add(family, [model], metrics.steps[step])
            yield family
        yield from self._requests(models)
        yield from self._queues(models)
        yield from self._sizes(models)

    def _requests(self, models: list[tuple[str, ModelMetrics]]) -> Iterator[Metric]:
        labels = ["model", "protocol", "verb"]
        text = "requests by HTTP status (gRPC mapped)"
        requests = CounterMetricFamily("polyserve_requests", text, labels=[*labels, "status"])
        seconds = HistogramMetricFamily("polyserve_request_seconds", "from bytes to bytes", labels=labels)
        rows = CounterMetricFamily("polyserve_rows", "rows predicted or explained", labels=labels[:1])
        for model, metrics in models:
            for verb, counts in metrics.verbs().items():
                for (protocol, status), count in list(counts.requests.items()):
                    requests.add_metric([model, protocol, verb, str(status)], count)
                for protocol, histogram in list(counts.latency.items()):
                    _add(seconds, [model, protocol, verb], histogram)
            rows.add_metric([model], metrics.rows)
        yield from (requests, seconds, rows)

    def _queues(self, models: list[tuple[str, ModelMetrics]]) -> Iterator[Metric]:
        batch = HistogramMetricFamily("polyserve_batch_rows", "rows in one call of the model", labels=["model"])
        queue = HistogramMetricFamily("polyserve_queue_seconds", "how long requests waited", labels=["model"])
        for model, metrics in models:
            _add(batch, [model], metrics.batch)
            _add(queue, [model], metrics.queue)
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
        yield from (batch, queue, length, state, restarts, swaps, failed)

    def _sizes(self, models: list[tuple[str, ModelMetrics]]) -> Iterator[Metric]:
        memory = GaugeMetricFamily("polyserve_model_memory_bytes", "what it took to load it", labels=["model"])
        evictions = CounterMetricFamily("polyserve_evictions", "times it made room for others", labels=["model"])
        for model, size in self._memory().items():
            memory.add_metric([model], size)
        for model, metrics in models:
            evictions.add_metric([model], metrics.evictions)
        yield from (memory, evictions)
        if self._budget is not None:
            yield GaugeMetricFamily("polyserve_memory_budget_bytes", "what models may take", value=self._budget)


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    family.add_metric(labels, histogram.buckets(), histogram.total)
