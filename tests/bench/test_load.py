"""What the load generators print, read rightly. The outputs are real ones, shortened."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.load import (
    LoadFailed,
    MissingTool,
    grpcio_command,
    h2load_command,
    parse_grpcio,
    parse_h2load,
    parse_wrk,
    require,
    wrk_command,
)
from bench.requests import Protocol, Request

WRK = """Running 1s test @ http://127.0.0.1:40001/v1/models/logistic:predict
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    43.01ms    4.10ms  61.30ms   81.20%
  1483 requests in 1.00s, 262.35KB read
Requests/sec:   1481.52
{"requests": 1483, "microseconds": 1001000, "p50": 42600.0, "p99": 49010.0, "max": 61300.0, """ + (
    '"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}\n'
)

H2LOAD = """starting benchmark...
finished in 3.00s, 4173.50 req/s, 248.49KB/s
requests: 8347 total, 8411 started, 8347 done, 8347 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 8347 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 496.98KB (508906) total, 29.49KB (30201) headers (space savings 96.26%), 81.58KB (83533) data
"""


def test_wrk_figures() -> None:
    figures = parse_wrk(WRK)
    assert figures.throughput == pytest.approx(1483 / 1.001)
    assert (figures.p50, figures.p99, figures.errors) == (42.6, 49.01, 0)


@pytest.mark.parametrize("kind", ["connect", "read", "write", "status", "timeout"])
def test_wrk_counts_every_kind_of_error(kind: str) -> None:
    assert parse_wrk(WRK.replace(f'"{kind}": 0', f'"{kind}": 7')).errors == 7


def test_wrk_without_an_answer_has_no_latency() -> None:
    figures = parse_wrk(WRK.replace('"requests": 1483', '"requests": 0').replace("42600.0", "0.0"))
    assert figures.requests == 0
    assert math.isnan(figures.p50)
    assert math.isnan(figures.p99)


def test_wrk_that_failed_is_told() -> None:
    with pytest.raises(LoadFailed, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1 Connection refused")


def test_h2load_figures() -> None:
    figures = parse_h2load(H2LOAD, [1000, 2000, 3000, 4000, 100_000], 3, answer_bytes=10)
    assert figures.throughput == pytest.approx(8347 / 3)
    assert (figures.p50, figures.errors) == (3.0, 0)
    assert 90 < figures.p99 <= 100


def test_h2load_answers_without_a_message_are_errors() -> None:
    """A gRPC error has HTTP status 200 and no message."""
    assert parse_h2load(H2LOAD.replace("(83533)", "(83430)"), [1], 3, answer_bytes=10).errors == 4
    assert parse_h2load(H2LOAD.replace("(83533)", "(0)"), [1], 3, answer_bytes=10).errors == 8347


@pytest.mark.parametrize("kind", ["failed", "errored", "timeout"])
def test_h2load_counts_every_kind_of_error(kind: str) -> None:
    assert parse_h2load(H2LOAD.replace(f"0 {kind}", f"5 {kind}"), [1], 3, answer_bytes=10).errors == 5


def test_h2load_that_failed_is_told() -> None:
    with pytest.raises(LoadFailed, match="could not connect"):
        parse_h2load("could not connect to host", [], 3, answer_bytes=10)


@pytest.mark.parametrize(("streams", "clients", "each"), [(1, 1, 1), (16, 4, 4), (64, 4, 16), (256, 4, 64)])
def test_streams_are_spread_over_connections(streams: int, clients: int, each: int) -> None:
    command = h2load_command(Path("body"), Path("log"), 80, "/m", streams, 3)
    assert {f"-c{clients}", f"-m{each}", "-D3"} <= set(command)


GRPCIO = '{"requests": 300, "seconds": 3.0, "p50": 1.5, "p99": 4.0, "errors": 0, "first_error": ""}'


def test_grpcios_figures() -> None:
    figures = parse_grpcio(GRPCIO)
    assert (figures.throughput, figures.p50, figures.p99, figures.errors) == (100.0, 1.5, 4.0, 0)
    nothing = parse_grpcio(GRPCIO.replace("300", "0").replace("1.5", "null").replace("4.0", "null"))
    assert math.isnan(nothing.p50)
    with pytest.raises(LoadFailed, match="2 of 300 calls failed: NOT_FOUND: nobody"):
        parse_grpcio(
            GRPCIO.replace('"errors": 0, "first_error": ""', '"errors": 2, "first_error": "NOT_FOUND: nobody"')
        )
    with pytest.raises(LoadFailed, match="no figures: Traceback"):
        parse_grpcio("Traceback")


@pytest.mark.parametrize(("streams", "channels"), [(1, 1), (16, 4)])
def test_grpcios_streams_are_spread_as_h2loads_are(streams: int, channels: int) -> None:
    command = grpcio_command(Path("body"), 80, "/m", streams, 3)
    assert {f"--channels={channels}", f"--streams={streams}", "--seconds=3"} <= set(command)


def test_wrk_sends_the_headers_and_the_body() -> None:
    request = Request(Protocol.V1, "/v1/models/m:predict", b"{}", {"Content-Type": "application/json"})
    command = wrk_command(request, Path("body"), 80, 64, 3)
    assert command[-1] == "body"
    assert "http://127.0.0.1:80/v1/models/m:predict" in command
    assert command[command.index("-H") + 1] == "Content-Type: application/json"


def test_a_missing_tool_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingTool, match="wrk and h2load not found; on Debian: apt-get install wrk nghttp2-client"):
        require("wrk", "h2load")
