"""What user code has counted is told as Prometheus' text, and nothing is imported for it."""

from __future__ import annotations

import sys

import prometheus_client
import pytest

from server.workers.own_metrics import own_metrics


def test_the_default_registry_is_told() -> None:
    assert prometheus_client.REGISTRY
    reply = own_metrics()
    assert reply.status == 200
    assert b"# TYPE python_info gauge" in reply.body


def test_who_does_not_use_it_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "prometheus_client")
    assert own_metrics().body == b""
