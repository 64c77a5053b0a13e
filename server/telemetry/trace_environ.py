"""Whether the environment asks for traces, and what keeps them from being made; imports nothing that takes time.

It is asked before the process may start anew (`runtime.hidden_environ`), so that what it imports is imported twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from server.telemetry.sampling import SamplerError, Sampling

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ENDPOINT)
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PACKAGES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")


def is_asked(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    return any(environ.get(name, "").strip() for name in _ENDPOINTS)


def problem(environ: Mapping[str, str]) -> str:
    """Why traces that are asked for cannot be made; "" where nothing keeps them from it."""
    if not is_asked(environ):
        return ""
    asked = next(name for name in _ENDPOINTS if environ.get(name, "").strip())
    for name in _PROTOCOLS:
        if (protocol := environ.get(name, "").strip()) and protocol != "http/protobuf":
            return f"{name}={protocol}: traces are sent by http/protobuf, for which collectors listen on port 4318"
    try:
        Sampling.of(environ)
    except SamplerError as error:
        return str(error)
    if not all(map(_is_there, _PACKAGES)):
        return (
            f"{asked} asks for traces, which need packages that are not installed: pip install "
            "'polyserve-runtime[tracing]', or switch them off by OTEL_SDK_DISABLED=true"
        )
    return ""


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
