"""How a stream's last answer is marked, for those who ask: perf_analyzer waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.api.grpc.final_response import LAST, NOT_LAST, empty_last, wants_mark
from server.api.grpc.infer_calls import Inference
from server.codec.grpc_messages import FINAL_RESPONSE
from server.inference.answer import Answer, StreamedAnswer
from server.inference.stream_parts import SinglePart


class Parts(SinglePart):
    """Two parts, one after the other."""

    def __init__(self) -> None:
        self._left = [part("second"), part("first")]


class Models:
    """A repository whose only model answers at once, or in parts."""

    def __init__(self, in_parts: bool) -> None:
        self._in_parts = in_parts

    async def ready(self, name: str, version: str | None = None) -> Any:
        return self

    async def handle(self, request: Any) -> Answer | StreamedAnswer:
        return StreamedAnswer([], Parts()) if self._in_parts else Answer(200, [], part("whole"))


def part(name: str) -> bytes:
    raw: bytes = pb.ModelInferResponse(model_name=name).SerializeToString()
    return raw


def asked(marks: bool | None) -> Any:
    request = pb.ModelInferRequest(model_name="m", id="7")
    if marks is not None:
        request.parameters[FINAL_RESPONSE].bool_param = marks
    return request


def streamed(request: Any, in_parts: bool) -> list[tuple[str | bool, ...]]:
    """Each answer's model name, and what it is marked with."""

    async def requests() -> AsyncIterator[bytes]:
        yield request.SerializeToString()

    async def main() -> list[bytes]:
        context = mock.Mock(invocation_metadata=tuple)
        return [raw async for raw in Inference(Models(in_parts)).stream(requests(), context)]  # type: ignore[arg-type]

    found = []
    for raw in asyncio.run(main()):
        answer = pb.ModelInferResponse.FromString(raw[2:])  # behind the tag and the length of one byte
        marks = [value.bool_param for name, value in answer.parameters.items() if name == "triton_final_response"]
        found.append((answer.model_name, *marks))
    return found


@pytest.mark.parametrize("marks", [None, False])
def test_without_the_wish_nothing_is_marked(marks: bool | None) -> None:
    assert streamed(asked(marks), in_parts=False) == [("whole",)]
    assert streamed(asked(marks), in_parts=True) == [("first",), ("second",)]


def test_a_whole_answer_is_the_last() -> None:
    assert streamed(asked(True), in_parts=False) == [("whole", True)]


def test_parts_end_with_an_empty_answer() -> None:
    assert streamed(asked(True), in_parts=True) == [("first", False), ("second", False), ("m", True)]


def test_a_mark_is_added_to_what_an_answer_has() -> None:
    answer = pb.ModelInferResponse(model_name="m", id="7")
    answer.parameters["seconds"].int64_param = 3
    read = pb.ModelInferResponse.FromString(answer.SerializeToString() + NOT_LAST)
    assert (read.id, read.parameters["seconds"].int64_param) == ("7", 3)
    assert set(read.parameters) == {"seconds", "triton_final_response"}
    assert (
        pb.ModelInferResponse.FromString(answer.SerializeToString() + LAST)
        .parameters["triton_final_response"]
        .bool_param
    )


def test_the_last_names_its_request() -> None:
    last = pb.ModelInferResponse.FromString(empty_last(asked(True)))
    assert (last.id, list(last.outputs)) == ("7", [])


def test_a_usual_request_asks_for_no_mark() -> None:
    assert not wants_mark(asked(None))
    assert wants_mark(asked(True))
