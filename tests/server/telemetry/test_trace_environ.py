"""When traces are made, what keeps them from it, and that asking imports nothing that takes time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from server.telemetry import trace_environ
from server.telemetry.trace_environ import is_asked, problem
from server.telemetry.tracing import Tracing

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x/v1/traces"}, True),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
    ],
    ids=["nothing", "endpoint", "of traces", "disabled", "no exporter", "a name alone"],
)
def test_what_asks_for_traces(environ: dict[str, str], asked: bool) -> None:
    assert is_asked(environ) == asked
    assert problem(environ) == ""
    if not asked:
        assert Tracing.of(environ) is None


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: traces are sent by http/protobuf"),
        ({"OTEL_TRACES_SAMPLER": "mine"}, "OTEL_TRACES_SAMPLER=mine is no sampler"),
    ],
    ids=["protocol", "sampler"],
)
def test_what_cannot_be_is_told(environ: dict[str, str], says: str) -> None:
    assert problem({**ENDPOINT, **environ}).startswith(says)
    assert problem(environ) == ""  # nobody asks for traces


def test_without_the_packages_their_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_environ, "find_spec", lambda name: None)
    told = problem(ENDPOINT)
    assert told.startswith("OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, which need packages that are not installed")
    assert "pip install 'polyserve-runtime[tracing]'" in told
    assert problem({}) == ""


def test_nothing_that_takes_time_is_imported_before_the_process_may_start_anew() -> None:
    """The command line is read, and looked at, before the server's secrets are hidden."""
    heavy = ("numpy", "kserve", "prometheus_client", "server.telemetry.counters")
    program = (
        "import os, sys, server.__main__ as main; from server.config.settings import Settings; "
        f"main.check(Settings.parse([], os.environ)); print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "[]\n"
