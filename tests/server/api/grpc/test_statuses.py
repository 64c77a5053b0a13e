"""Failures over gRPC: ours keep their status, others are internal, and are logged."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from server.api.grpc.statuses import known_error, with_status
from server.api.kserve.host import ModelNotFound
from server.errors import ModelFailed, NotFound, QueueFull


class Context:
    async def abort(self, code: Any, text: str) -> Any:
        return code, text


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (QueueFull("full"), grpc.StatusCode.RESOURCE_EXHAUSTED, "full"),
        (ModelNotFound("m"), grpc.StatusCode.NOT_FOUND, "m"),
        (ZeroDivisionError("by zero"), grpc.StatusCode.INTERNAL, "ZeroDivisionError: by zero"),
    ],
)
def test_a_failure_is_a_status(error: Exception, code: Any, text: str) -> None:
    async def method(self: Any, request: Any, context: Any) -> Any:
        raise error

    got, told = asyncio.run(with_status(method)(None, None, Context()))  # type: ignore[arg-type]
    assert got is code
    assert text in told


def test_an_answer_is_left_alone() -> None:
    async def method(self: Any, request: Any, context: Any) -> Any:
        return request

    assert asyncio.run(with_status(method)(None, "answer", None)) == "answer"  # type: ignore[arg-type]


def test_only_what_is_not_ours_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(known_error(ModelNotFound("m"), "Method"), NotFound)
    assert not caplog.records
    assert isinstance(known_error(KeyError("k"), "Method"), ModelFailed)
    assert "gRPC Method failed" in caplog.text


def test_a_failure_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """grpc.aio ends a method by an exception of its own: taken for another failure, every call that was refused left a
    stack trace in the log."""
    aborts: list[Any] = []

    class AioContext:
        async def abort(self, code: Any, text: str) -> Any:
            aborts.append(code)
            raise grpc.aio.AbortError("Locally aborted.")

    @with_status
    async def method(self: Any, request: Any, context: Any) -> Any:
        raise QueueFull("full")

    with pytest.raises(grpc.aio.AbortError):
        asyncio.run(with_status(method)(None, None, AioContext()))  # type: ignore[arg-type]
    assert aborts == [grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert not caplog.records
