"""Messages beside inference: what is read of them, and what is refused before it takes memory or time."""

from __future__ import annotations

import pytest

from server.api.grpc.protos import message_type
from server.api.grpc.small_messages import MOST, reader
from server.errors import InvalidInput, TooLarge
from tests.adapters.formats.messages import message

read = reader(message_type("TraceSettingRequest"))


def test_a_message_is_read() -> None:
    assert read(b"\x12\x01m").model_name == "m"
    assert read(b"").model_name == ""


def test_what_is_none_is_the_client_s_fault() -> None:
    with pytest.raises(InvalidInput, match="the message is no TraceSettingRequest"):
        read(b"\x0aonnx")


def test_what_nobody_would_ask_is_not_read() -> None:
    assert len(read(message(2, b"m" * (MOST - 4))).model_name) == MOST - 4
    with pytest.raises(TooLarge, match=f"holds {MOST + 1} bytes, and {MOST} are taken"):
        read(bytes(MOST + 1))
