"""Every failure is one HTTP status, one gRPC status and one sentence."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import grpc
import orjson
import pytest

import adapters.base
from server import errors
from server.errors import (
    InvalidInput,
    ModelFailed,
    QueueFull,
    RefusedByModel,
    ServingError,
    TooLong,
    as_serving_error,
    message,
    nearest_error,
    respond,
)

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServingError)]


def body(error: ServingError) -> Any:
    return orjson.loads(respond(error)[2])


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_a_status_everywhere(kind: type[ServingError]) -> None:
    status, headers, _ = respond(kind("why"))
    assert 400 <= status < 600
    assert body(kind("why")) == {"error": "why"}
    assert (b"content-type", b"application/json") in headers
    assert isinstance(getattr(grpc.StatusCode, kind.grpc), grpc.StatusCode)


def test_the_statuses_are_those_of_the_contract() -> None:
    told = {kind.__name__: kind.status for kind in KINDS}
    assert told == {
        "ServingError": 500, "InvalidInput": 400, "TooLong": 400, "RefusedByModel": 400,
        "Unauthorized": 401, "Forbidden": 403, "NotFound": 404,
        "MethodNotAllowed": 405, "TooSlow": 408, "TooLarge": 413, "UnknownCoding": 415,
        "UnsupportedMediaType": 415, "HeadTooLarge": 431,
        "Overloaded": 503,
        "QueueFull": 429,
        "ClientGone": 499, "ModelFailed": 500, "NotSupported": 501, "NotReady": 503, "DeadlineExceeded": 504,
    }  # fmt: skip


@pytest.mark.parametrize(("status", "grpc"), [(422, "INVALID_ARGUMENT"), (404, "NOT_FOUND"), (513, "INTERNAL")])
def test_a_status_that_a_model_chose_goes_out(status: int, grpc: str) -> None:
    error = as_serving_error(adapters.base.RefusedAs("no picture", status))
    assert (respond(error)[0], error.grpc) == (status, grpc)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (418, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (501, "UNIMPLEMENTED"),
        (503, "UNAVAILABLE"),
    ],
)
def test_statuses_have_relatives_on_grpc(status: int, error: str) -> None:
    assert nearest_error(status).grpc == error


def test_a_full_queue_says_when_to_come_back() -> None:
    assert (b"retry-after", b"1") in respond(QueueFull("full"))[1]
    assert all(name != b"retry-after" for name, _ in respond(InvalidInput("bad"))[1])


FOREIGN: list[tuple[BaseException, type[ServingError], str]] = [
    (adapters.base.InvalidInput("x[0] is bad"), InvalidInput, "x[0] is bad"),
    (InvalidInput("x[0] is bad"), InvalidInput, "x[0] is bad"),
    (adapters.base.TooLong("x[0] has 9 tokens"), TooLong, "x[0] has 9 tokens"),
    (adapters.base.RefusedAs("no picture", 422), RefusedByModel, "no picture"),
    (ValueError("two rows"), ModelFailed, "ValueError: two rows"),
    (KeyError("x"), ModelFailed, "KeyError: 'x'"),
    (MemoryError(), ModelFailed, "MemoryError"),
    (SystemExit(3), ModelFailed, "SystemExit: 3"),
    (StopIteration(), ModelFailed, "StopIteration"),
    (AssertionError("a\nb"), ModelFailed, "AssertionError: a\nb"),
    (ValueError("no\nStack trace:\n  [bt] (0) /lib/x.so"), ModelFailed, "ValueError: no"),
    (adapters.base.InvalidInput("no\nException raised from x at /a/b.cpp"), InvalidInput, "no"),
    (FileNotFoundError("no file '/srv/models/x/vocab.txt'"), ModelFailed, "FileNotFoundError: no file 'vocab.txt'"),
]


@pytest.mark.parametrize(("error", "kind", "says"), FOREIGN, ids=lambda item: str(item)[:20])
def test_a_models_own_errors_are_told_without_a_stack_trace(
    error: BaseException, kind: type[ServingError], says: str
) -> None:
    told = as_serving_error(error)
    assert type(told) is kind
    assert str(told) == says
    assert body(told) == {"error": says}


def test_our_errors_stay_what_they_are() -> None:
    error = QueueFull("full")
    assert as_serving_error(error) is error


def test_a_message_may_hold_what_utf_8_cannot() -> None:
    assert body(ModelFailed("cannot open model\udcff.onnx")) == {"error": r"cannot open model\udcff.onnx"}


def test_a_message_is_bounded() -> None:
    assert len(message(ModelFailed("x" * 1_000_000))) == errors.LONGEST
    assert message(ModelFailed("x" * 5000 + " for this reason")).endswith(" for this reason")


def test_an_error_that_was_told_holds_no_body() -> None:
    """Of a refused one a coroutine that raises what it was given made a circle: four bodies took 17 GB."""

    class Body:
        """What was made of a request."""

    def read() -> None:
        body = Body()
        held.append(weakref.ref(body))
        try:
            {}["body"]
        except KeyError as error:
            raise InvalidInput(f"it is no {type(body).__name__}") from error

    async def handle() -> None:
        future = asyncio.get_running_loop().create_future()
        try:
            read()
        except InvalidInput as error:
            future.set_result(error)
        answer = await future
        raise answer

    async def answer() -> bytes:
        try:
            await handle()
        except ServingError as error:
            return respond(error)[2]
        return b""

    held: list[weakref.ref[Body]] = []
    gc.disable()
    try:
        assert asyncio.run(answer()) == b'{"error":"it is no Body"}'
        (of_body,) = held
        assert of_body() is None
    finally:
        gc.enable()
