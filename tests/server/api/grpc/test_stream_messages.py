"""The messages around a stream's answers, read back by protobuf itself."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from server.api.grpc.stream_messages import streamed, streamed_error, varint


@pytest.fixture(scope="module")
def message() -> Any:
    """`ModelStreamInferResponse`, with the answer as bytes: a nested message looks the same on the wire."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="stream.proto", syntax="proto3")
    kind = file.message_type.add(name="Response")
    for number, (name, type_) in enumerate([("error_message", field.TYPE_STRING), ("answer", field.TYPE_BYTES)], 1):
        kind.field.add(name=name, number=number, type=type_, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Response"))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 70_000])
def test_an_answer_comes_whole(message: Any, size: int) -> None:
    read = message.FromString(streamed(b"a" * size))
    assert (read.answer, read.error_message) == (b"a" * size, "")


@pytest.mark.parametrize("text", ["", "no such model", "Zoë" * 50])
def test_an_error_is_its_text(message: Any, text: str) -> None:
    read = message.FromString(streamed_error(text))
    assert (read.error_message, read.answer) == (text, b"")


def test_half_a_character_does_not_end_the_stream(message: Any) -> None:
    assert message.FromString(streamed_error("a\ud800b")).error_message == "a?b"


@pytest.mark.parametrize(("number", "written"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")])
def test_lengths_are_written_lowest_bits_first(number: int, written: bytes) -> None:
    assert varint(number) == written
