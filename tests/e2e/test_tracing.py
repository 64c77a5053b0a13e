"""Traces of a whole server, at a collector that decodes what comes: over every protocol, and from user code.

And what else user code tells of itself from its own process: its lines in the log, its metrics.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import kserve.protocol.grpc.grpc_predict_v2_pb2 as pb
import pytest

from tests.cases import CASES, Expected
from tests.collector import Collector, attributes, collecting
from tests.e2e.process import Server
from tests.patience import wait_for
from tests.shared import Shared

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENT = f"00-{TRACE}-00f067aa0ba902b7-01"
MODEL = "sklearn-logistic"
TELLING = '''
import logging

import kserve
from opentelemetry import trace
from prometheus_client import Counter

asked = Counter("telling_asked", "How often it was asked.", ["kind"])
tracer = trace.get_tracer("mine")
log = logging.getLogger("telling")
log.addHandler(logging.StreamHandler())

class Telling(kserve.Model):
    """Answers the headers that it is shown, and tells its log and its trace."""

    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None):
        with tracer.start_as_current_span("looking", attributes={"rows": len(payload["instances"])}):
            asked.labels("plain").inc()
            log.warning("asked for %d", len(payload["instances"]))
            return {"predictions": [dict(headers or {}).get("traceparent", "")]}
'''


@dataclass(frozen=True)
class Site:
    server: Server
    collector: Collector
    expected: Expected

    @property
    def body(self) -> Any:
        return {"instances": self.expected.instances}

    def traced(self, name: str, request_id: str) -> Any:
        """The span of that name and of the request with that identifier, once it has come."""

        def found() -> list[Any]:
            return [
                each
                for each in self.collector.named(name)
                if attributes(each).get("polyserve.request_id") == request_id
            ]

        wait_for(found, f"a span {name} of {request_id}")
        return found()[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared: Shared) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("traced")
    root = base / "models"
    (root / "telling").mkdir(parents=True)
    (root / "telling" / "model.py").write_text(TELLING)
    case = next(case for case in CASES if case.name == MODEL)
    expected = shared.copy(case, root / MODEL)
    with collecting() as collector:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        flags = ("--log_format=json", "--workers=2")
        server = Server(root, base / "log", *flags, OTEL_SERVICE_NAME="mine", **environ).wait_ready()
        wait_for(lambda: "listens, too" in server.log)
        yield Site(server, collector, expected)
        assert server.stop() == 0, server.log


def headers(request_id: str) -> dict[str, str]:
    return {"traceparent": SENT, "x-request-id": request_id}


def test_a_small_request_over_v1(site: Site) -> None:
    answer = httpx.post(f"{site.server.url}/v1/models/{MODEL}:predict", json=site.body, headers=headers("v1"))
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == "v1"
    span = site.traced("POST /v1/models/{model}:predict", "v1")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, "00f067aa0ba902b7")
    wait_for(lambda: site.collector.children(span).keys() == {"decode", "predict", "encode"})
    assert site.collector.services == {"mine"}


def test_a_request_over_the_general_way(site: Site) -> None:
    url = f"{site.server.url}/v1/models/{MODEL}:predict?general=way"
    assert httpx.post(url, json=site.body, headers=headers("general")).status_code == 200
    assert site.traced("POST /v1/models/{model}:predict", "general").trace_id.hex() == TRACE


def test_a_call_over_grpc(site: Site) -> None:
    (name, array), *_ = site.expected.tensors.items()
    contents = pb.InferTensorContents(fp64_contents=array.reshape(-1).tolist())
    tensor = pb.ModelInferRequest.InferInputTensor(name=name, shape=array.shape, datatype="FP64", contents=contents)
    with grpc.insecure_channel(site.server.grpc) as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelInferResponse.FromString,
        )
        infer(pb.ModelInferRequest(model_name=MODEL, inputs=[tensor]), metadata=list(headers("grpc").items()))
    assert site.traced("inference.GRPCInferenceService/ModelInfer", "grpc").trace_id.hex() == TRACE


def test_user_code_is_told_the_servers_span(site: Site) -> None:
    answer = httpx.post(f"{site.server.url}/v1/models/telling:predict", json={"instances": [1]}, headers=headers("own"))
    (told,) = answer.json()["predictions"]
    span = site.traced("POST /v1/models/{model}:predict", "own")
    assert told == f"00-{TRACE}-{span.span_id.hex()}-01"
    wait_for(lambda: site.collector.children(span).keys() == {"queue", "predict", "looking"})
    own = site.collector.children(span)["looking"]
    assert attributes(own) == {"rows": 1, "polyserve.model": "telling"}


def test_a_line_of_user_code_tells_its_request_and_its_trace(site: Site) -> None:
    sent = {"instances": [1, 2, 3]}
    httpx.post(f"{site.server.url}/v1/models/telling:predict", json=sent, headers=headers("logged"))
    wait_for(lambda: "asked for 3" in site.server.log)
    (line,) = (json.loads(line) for line in site.server.log.splitlines() if "asked for 3" in line)
    span = site.traced("POST /v1/models/{model}:predict", "logged")
    assert (line["model"], line["message"]) == ("telling", "model telling | asked for 3")
    assert (line["request_id"], line["trace_id"], line["span_id"]) == ("logged", TRACE, span.span_id.hex())


def test_what_user_code_counts_is_scraped_with_ours(site: Site) -> None:
    httpx.post(f"{site.server.url}/v1/models/telling:predict", json={"instances": [1]}).raise_for_status()
    counted: list[str] = []

    def scraped() -> bool:
        """What a process is slow to tell is left out."""
        lines = httpx.get(f"{site.server.url}/metrics").text.splitlines()
        counted[:] = [line for line in lines if line.startswith("telling_asked_total")]
        return bool(counted)

    wait_for(scraped, "its count")
    (line,) = counted
    name, _, count = line.rpartition(" ")
    assert name == 'telling_asked_total{kind="plain",model="telling",worker="0"}'
    assert float(count) >= 1


def test_every_process_of_the_server_sends_its_spans(site: Site) -> None:
    """The kernel deals connections out to both."""

    def seen() -> bool:
        assert site.server.predict(MODEL, site.body).status_code == 200
        return len(site.collector.processes) == 2

    site.server.client.headers["connection"] = "close"
    wait_for(seen)


def test_tritons_clients_are_told_how_it_is_traced(site: Site) -> None:
    url = f"{site.server.url}/v2/trace/setting"
    known = httpx.get(url).json()
    assert (known["trace_mode"], known["trace_level"], known["trace_rate"]) == ("opentelemetry", ["TIMESTAMPS"], "1")
    refused = httpx.post(url, json={"trace_rate": "100"})
    assert refused.status_code == 501
    assert "OTEL_TRACES_SAMPLER_ARG" in refused.json()["error"]


def test_what_the_caller_does_not_record_is_not_recorded(site: Site) -> None:
    left_out = {"traceparent": f"{SENT[:-1]}0", "x-request-id": "left-out"}
    for sent in (left_out, headers("after")):
        url = f"{site.server.url}/v1/models/{MODEL}:predict"
        assert httpx.post(url, json=site.body, headers=sent).status_code == 200
    site.traced("POST /v1/models/{model}:predict", "after")
    told = [attributes(each).get("polyserve.request_id") for each in site.collector.spans]
    assert "left-out" not in told


def test_a_collector_that_is_away_holds_nobody_up(tmp_path: Path, shared: Shared) -> None:
    case = next(case for case in CASES if case.name == MODEL)
    expected = shared.copy(case, tmp_path / "models" / MODEL)
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    server = Server(tmp_path / "models", tmp_path / "log", **environ).wait_ready()
    try:
        assert all(server.predict(MODEL, {"instances": expected.instances}).status_code == 200 for _ in range(20))
    finally:
        assert server.stop() == 0, server.log
