"""Traces of a whole server, at a collector that decodes what comes: over every protocol, and from user code."""

from __future__ import annotations

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
import kserve

class Telling(kserve.Model):
    """Answers the headers that it is shown."""

    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None):
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
        server = Server(root, base / "log", OTEL_SERVICE_NAME="mine", **environ).wait_ready()
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
