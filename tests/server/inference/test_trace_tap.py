"""The spans of a request, as an exporter is given them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import pairwise
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from adapters.base import Reply, Request, Signature
from server.errors import InvalidInput, ModelFailed
from server.inference.batching.queue import Limits
from server.inference.passthrough_model import PassthroughModel
from server.inference.request import InferenceRequest
from server.inference.taps import JobRequest, Streamed, tap
from server.inference.tensor_model import TensorModel
from server.inference.trace_tap import TraceTap
from server.runtime import logs
from server.telemetry.metrics import Metrics
from server.telemetry.sampling import Sampling
from server.telemetry.traceparent import parse
from server.telemetry.tracing import Tracing
from server.workers.worker_pool import WorkerPool
from tests.server.stand_ins import EchoAdapter

SENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def model() -> Iterator[TensorModel]:
    with ThreadPoolExecutor(2) as executor:
        adapter = EchoAdapter("echo", {})
        yield TensorModel("m", adapter, executor, Limits(), Metrics(dict).of("m"), merges=True, version="3")


class Traced:
    """A tap, and the spans that it has made."""

    def __init__(self, sampling: Sampling | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        self.tap = TraceTap(Tracing(sampling or Sampling(), SimpleSpanProcessor(self.exporter)))

    @property
    def spans(self) -> dict[str, Any]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


def asked(*headers: tuple[bytes, bytes], body: bytes = b'{"instances": [[1, 2]]}') -> InferenceRequest:
    return InferenceRequest("v1", "predict", "m", None, headers, body)


def test_a_request_has_a_span_for_each_of_its_steps(model: TensorModel) -> None:
    traced = Traced()
    tap(model, (traced.tap,))
    asyncio.run(model.handle(asked((b"traceparent", SENT.encode()), (b"x-request-id", b"abc"))))
    spans = traced.spans
    whole = spans["POST /v1/models/{model}:predict"]
    assert whole.context.trace_id == 0x4BF92F3577B34DA6A3CE929D0E0E4736
    assert whole.parent.span_id == 0x00F067AA0BA902B7
    assert whole.attributes == {
        "http.request.method": "POST",
        "polyserve.model": "m",
        "polyserve.model_version": "3",
        "polyserve.adapter": "echo",
        "polyserve.protocol": "v1",
        "polyserve.request_bytes": 23,
        "polyserve.request_id": "abc",
        "http.response.status_code": 200,
    }
    steps = [spans[name] for name in ("decode", "predict", "encode")]
    assert all(step.parent.span_id == whole.context.span_id for step in steps)
    times = [whole.start_time, *(time for step in steps for time in (step.start_time, step.end_time)), whole.end_time]
    assert all(later >= earlier - 1000 for earlier, later in pairwise(times))


def test_who_answers_is_told_the_servers_span(model: TensorModel) -> None:
    traced = Traced()
    request = asked((b"traceparent", SENT.encode()), (b"x", b"y"))
    seen = traced.tap(model, request)
    assert seen is not None
    (told,) = [value for name, value in request.headers if name == b"traceparent"]
    handed = parse(told)
    seen(Streamed(200))
    (span,) = traced.spans.values()
    assert handed is not None
    assert (handed.trace_id, handed.span_id) == (span.context.trace_id, span.context.span_id)
    assert (b"x", b"y") in request.headers


def test_lines_in_the_context_of_a_request_tell_its_trace_and_in_that_of_a_connection_none(model: TensorModel) -> None:
    def told(in_context: str) -> str:
        logs.request_id.set(in_context)
        assert Traced().tap(model, asked((b"traceparent", SENT.encode()), (b"x-request-id", b"abc"))) is not None
        return (logs.trace.get() or {}).get("trace_id", "")

    assert [copy_context().run(told, known) for known in ("abc", "", "another")] == [SENT[3:35], "", ""]


def test_what_is_not_sampled_is_let_alone(model: TensorModel) -> None:
    headers = ((b"traceparent", SENT[:-1].encode() + b"0"),)
    request = asked(*headers)
    assert Traced().tap(model, request) is None
    assert request.headers == headers
    assert Traced(Sampling(bound=0)).tap(model, asked()) is None


def test_errors_are_told_and_only_our_own_mark_the_span(model: TensorModel) -> None:
    traced = Traced()
    for error in (InvalidInput("it has 1 column"), ModelFailed("ValueError: boom")):
        seen = traced.tap(model, asked())
        assert seen is not None
        seen(error)
    refused, failed = traced.exporter.get_finished_spans()
    assert refused.attributes is not None
    assert failed.attributes is not None
    assert refused.attributes["error.message"] == "it has 1 column"
    assert (refused.status.status_code, failed.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert (failed.status.description, failed.attributes["http.response.status_code"]) == ("ValueError: boom", 500)


def test_a_job_is_told_as_what_its_client_asked(model: TensorModel) -> None:
    traced = Traced()
    job = JobRequest("generation", "chat", "m", None, [(b"traceparent", SENT.encode())], b"job", sent=b"the body")
    seen = traced.tap(model, job)
    assert seen is not None
    seen(Streamed(200))
    span = traced.spans["openai chat"]
    assert (span.attributes["polyserve.protocol"], span.attributes["polyserve.request_bytes"]) == ("openai", 8)


def test_over_grpc_metadata_is_text(model: TensorModel) -> None:
    traced = Traced()
    request = InferenceRequest("grpc", "predict", "m", None, [("traceparent", SENT)], b"")
    seen = traced.tap(model, request)
    assert seen is not None
    assert isinstance(dict(request.headers)["traceparent"], str)
    seen(Streamed(200))
    assert traced.spans.keys() == {"inference.GRPCInferenceService/ModelInfer"}


def test_code_that_answers_itself_has_a_queue_and_its_own_spans_below_ours() -> None:
    traced, told = Traced(), list[str]()

    class Pool:
        def __init__(self) -> None:
            self.take_spans: Callable[[bytes], None] = lambda spans: None

    class Own(EchoAdapter):
        async def answer(self, request: Request) -> Reply:
            told.append(request.headers["traceparent"])
            return Reply(b"{}", {})

    adapter = Own("echo", {})
    adapter.signature = Signature((), (), whole=True)
    model = PassthroughModel("own", adapter, Limits(), Metrics(dict).of("own"), version="3")
    model.pool = cast(WorkerPool, Pool())
    tap(model, (traced.tap,))
    asyncio.run(model.handle(asked()))
    (parent,) = map(parse, told)
    assert parent is not None
    inner = {"name": "inner", "trace_id": parent.trace_id, "span_id": 7, "parent_id": parent.span_id, "start": 1}
    rest = {"end": 2, "kind": "INTERNAL", "status": "UNSET", "description": "", "scope": "", "attributes": {}}
    model.pool.take_spans(json.dumps({**inner, **rest, "events": []}).encode())
    spans = traced.spans
    assert spans.keys() == {"queue", "predict", "inner", "POST /v1/models/{model}:predict"}
    whole = spans["POST /v1/models/{model}:predict"]
    assert {spans[name].parent.span_id for name in ("queue", "predict", "inner")} == {whole.context.span_id}
    assert spans["inner"].attributes == {"polyserve.model": "own", "polyserve.model_version": "3"}
