"""gRPC's health service says what the server's readiness is, and tells those who watch when it changes."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from server.api.grpc import health
from server.api.grpc.protos import HEALTH, message_class
from server.api.grpc.service import InferenceService
from server.repository.repository import Repository
from tests.server.api.grpc.calling import call, call_with

#: both fronts answer alike
pytestmark = pytest.mark.usefixtures("front")

Request = message_class(HEALTH.methods_by_name["Check"].input_type)
Response = message_class(HEALTH.methods_by_name["Check"].output_type)
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService"])
def test_it_serves_while_it_is_ready(models: Repository, service: str) -> None:
    def status() -> Any:
        return call(InferenceService(models), "grpc.health.v1.Health/Check", Request(service=service), Response).status

    assert status() == SERVING
    models._lifecycle.scanned = False
    assert status() == NOT_SERVING


def test_another_service_is_not_found(models: Repository) -> None:
    answer = call(InferenceService(models), "grpc.health.v1.Health/Check", Request(service="nobody"))
    assert answer[0] == "NOT_FOUND"
    assert "'nobody'" in answer[1]


def test_who_watches_hears_of_every_change_and_of_the_end(models: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "INTERVAL", 0.001)

    async def talk(channel: Any) -> list[int]:
        method = channel.unary_stream("/grpc.health.v1.Health/Watch", response_deserializer=Response.FromString)
        told = []
        async for response in method(Request().SerializeToString()):
            told.append(response.status)
            if len(told) == 1:
                models._lifecycle.scanned = False
            elif len(told) == 2:
                models._lifecycle.scanned = True
            else:
                models.begin_stop()
        return told

    assert call_with(InferenceService(models), talk) == [SERVING, NOT_SERVING, SERVING, NOT_SERVING]


def test_who_watches_another_service_is_told_that_it_is_unknown(models: Repository) -> None:
    async def talk(channel: Any) -> int:
        method = channel.unary_stream("/grpc.health.v1.Health/Watch", response_deserializer=Response.FromString)
        watching = method(Request(service="nobody").SerializeToString())
        status: int = (await asyncio.wait_for(watching.read(), 60)).status
        watching.cancel()
        return status

    assert call_with(InferenceService(models), talk) == SERVICE_UNKNOWN


def test_those_who_watch_are_bounded(models: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MOST", 2)

    async def talk(channel: Any) -> list[Any]:
        method = channel.unary_stream("/grpc.health.v1.Health/Watch", response_deserializer=Response.FromString)
        calls = [method(Request().SerializeToString()) for _ in range(2)]
        told: list[Any] = [(await each.read()).status for each in calls]
        with pytest.raises(grpc.aio.AioRpcError, match="2 watch already, which is all: ask by Check"):
            await method(Request().SerializeToString()).read()
        for each in calls:
            each.cancel()
        return told

    assert call_with(InferenceService(models), talk) == [SERVING, SERVING]
