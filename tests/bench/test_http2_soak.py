"""What guests of the soak send is what they say: the calls among it are sound."""

from __future__ import annotations

from hpack import Decoder

from bench import http2_soak
from bench.requests import messages
from bench.strangers import CALL_HEAD, MODEL


def test_the_head_of_a_call_is_one() -> None:
    headers = Decoder().decode(CALL_HEAD)
    pseudo = [name for name, _ in headers if name.startswith(":")]
    assert [name for name, _ in headers][: len(pseudo)] == pseudo, "those of the request come first"
    assert dict(headers)[":path"] == "/inference.GRPCInferenceService/ModelInfer"
    assert dict(headers)["content-type"] == "application/grpc"


def test_the_message_is_whole() -> None:
    message = http2_soak.message()
    assert int.from_bytes(message[1:5], "big") == len(message) - 5
    assert messages().ModelInferRequest.FromString(message[5:]).model_name == MODEL


def test_each_kind_of_guest_sends_frames_to_the_last_byte() -> None:
    for kind, sent in http2_soak.guests().items():
        at = frames = 0
        while at < len(sent):
            at += 9 + int.from_bytes(sent[at : at + 3], "big")
            frames += 1
        assert at == len(sent), kind
        assert frames >= 50, kind
