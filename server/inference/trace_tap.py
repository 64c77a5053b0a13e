"""The spans of a request: one of the server's, and one for each of its steps, in the trace that `traceparent` names.

    POST /v1/models/iris:predict          until the answer is there; of a stream, until its last part
        decode    predict    encode       of models of tensors; `predict` is waiting in the queue and computing
    queue     predict                 of code that answers requests itself; and below them the spans that it makes

The model's own process gets the server's span as `traceparent`; spans of user code hang below it, and come back with
its answers (`workers.own_spans`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from server.errors import ServingError, message
from server.inference.model import ServedModel
from server.inference.request import InferenceRequest
from server.inference.taps import JobRequest, Seen, SeenOutcome
from server.runtime import logs
from server.telemetry.counters import now
from server.telemetry.traceparent import HEADER, NAME, TraceParent, parse
from server.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_NAMES = {
    ("v1", "predict"): "POST /v1/models/{model}:predict",
    ("v1", "explain"): "POST /v1/models/{model}:explain",
    ("v2", "predict"): "POST /v2/models/{model}/infer",
    ("grpc", "predict"): "inference.GRPCInferenceService/ModelInfer",
    ("grpc", "stream"): "inference.GRPCInferenceService/ModelStreamInfer",
}


class TraceTap:
    """A `Tap`."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def __call__(self, model: ServedModel, request: InferenceRequest) -> Seen | None:
        parent = None
        for name, value in request.headers:
            if name in (HEADER, NAME):
                parent = parse(value)
        trace_id = self._tracing.sampling.trace_id(parent)
        if not trace_id:
            return None
        protocol = "openai" if isinstance(request, JobRequest) else request.protocol
        name = _NAMES.get((protocol, request.verb), f"{protocol} {request.verb}")
        span = self._tracing.begin(name, trace_id, parent, request.received_at, _known(model, request))
        request.headers = _handed_on(request, span)
        if (known := logs.request_id.get()) and known == request.request_id:  # the context is this request's alone
            logs.trace.set(request.log_fields)
        if model.pool is not None:
            model.pool.take_spans = partial(self._tracing.take, known=_whose(model))
        return partial(self._ended, span, request, model.signature.whole)

    def _ended(self, span: Span, request: InferenceRequest, whole: bool, outcome: SeenOutcome) -> None:
        end = now()
        failed = isinstance(outcome, ServingError)
        marks: tuple[float, ...] = (request.received_at, request.decoded_at, request.predicted_at, end)
        steps: tuple[str, ...] = ("decode", "predict", "encode")
        if whole:
            marks, steps = (request.received_at, request.decoded_at, end), ("queue", "predict")
        if not failed and marks[-2] > marks[0]:
            for step, start, until in zip(steps, marks, marks[1:], strict=False):
                self._tracing.step(step, span, start, until)
        span.set_attribute("http.response.status_code", outcome.status)
        if outcome.status >= 500:
            _mark_failed(span, message(outcome) if isinstance(outcome, ServingError) else "")
        elif isinstance(outcome, ServingError):
            span.set_attribute("error.message", message(outcome))
        span.end(self._tracing.clock(end))


def _mark_failed(span: Span, why: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, why))


def _known(model: ServedModel, request: InferenceRequest) -> dict[str, Any]:
    """What is known of a request when it comes; nothing of what is in it."""
    known = {
        "rpc.system" if request.protocol == "grpc" else "http.request.method": (
            "grpc" if request.protocol == "grpc" else "POST"
        ),
        "polyserve.model": model.name,
        "polyserve.model_version": model.version,
        "polyserve.adapter": model.adapter.name,
        "polyserve.protocol": "openai" if isinstance(request, JobRequest) else request.protocol,
        "polyserve.request_bytes": len(request.sent if isinstance(request, JobRequest) else request.body),
        "polyserve.request_id": request.request_id,
    }
    return {name: value for name, value in known.items() if value != ""}


def _whose(model: ServedModel) -> dict[str, str]:
    """What tells spans of user code from those of others."""
    return {"polyserve.model": model.name, **({"polyserve.model_version": model.version} if model.version else {})}


def _handed_on(request: InferenceRequest, span: Span) -> list[tuple[Any, Any]]:
    """The request's headers, with this span as the parent of what comes."""
    context = span.get_span_context()
    value = str(TraceParent(context.trace_id, context.span_id, sampled=True))
    own = (NAME, value) if request.protocol == "grpc" else (HEADER, value.encode())
    return [*(each for each in request.headers if each[0] not in (HEADER, NAME)), own]
