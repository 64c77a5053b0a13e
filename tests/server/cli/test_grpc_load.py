"""Clients of gRPC in a closed loop: what they count, of a server of this process and of none."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server

from server.cli.grpc_load import run_grpc_load
from server.cli.load_run import LoadResult
from tests.server.cli.test_grpc_request import REQUEST, Echo


@pytest.fixture
def address() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    add_GRPCInferenceServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def measured(address: str, headers: dict[str, str]) -> LoadResult:
    """A run that is long enough for the machine to see an answer."""
    for seconds in (0.3, 1.0, 5.0, 25.0):
        result = run_grpc_load(address, REQUEST, headers, 2, seconds)
        if result.latencies or result.errors:
            break
    return result


def test_good_answers_are_counted(address: str) -> None:
    result = measured(address, {"X-Key": "v"})
    assert result.latencies
    assert not result.errors
    assert result.rate == len(result.latencies) / result.seconds


def test_errors_are_counted_by_what_they_are(address: str) -> None:
    result = measured(address, {})
    assert not result.latencies
    assert set(result.errors) == {"INVALID_ARGUMENT"}


def test_nobody_there() -> None:
    assert set(run_grpc_load("127.0.0.1:1", REQUEST, {}, 1, 0.2).errors) == {"UNAVAILABLE"}
