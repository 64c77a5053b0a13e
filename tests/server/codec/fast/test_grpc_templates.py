"""What is known by its bytes is decoded and encoded as protobuf would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.codec import grpc_messages
from server.codec.fast import grpc_templates
from server.codec.fast.grpc_templates import AnswerTemplates, TemplateCache, known_decoder
from server.codec.v2 import DecodedV2Request
from tests.server.codec.fast.test_json_rows import SIGNATURES, messages, outcome

VALUES = np.array([1.5, -0.0, 2.0])


def usual(model: str = "m", values: Any = VALUES, **more: Any) -> Any:
    message = pb.ModelInferRequest(model_name=model, **more)
    message.inputs.add(name="x", datatype="FP64", shape=[1, len(values)])
    message.raw_input_contents.append(values.tobytes())
    return message


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("name", SIGNATURES)
@settings(max_examples=120, deadline=None)
@given(seen=messages(), request=messages())
def test_requests(name: str, seen: Any, request: Any) -> None:
    heads, signature = TemplateCache(), SIGNATURES[name]
    heads.learn(seen.SerializeToString(), seen)
    for message in (seen, request):
        raw = message.SerializeToString()
        if (head := heads.find(raw)) is not None:
            assert (head.model, head.version) == (message.model_name, message.model_version or None)
            known = outcome(lambda: known_decoder(signature)(head, raw))  # noqa: B023
            assert known == outcome(lambda: grpc_messages.decode(message, signature))  # noqa: B023


@pytest.mark.parametrize("version", [None, "3"])
def test_the_usual_request_is_known_again(version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = TemplateCache()
    seen, again = usual(model_version=version), usual(model_version=version, values=VALUES * 2)
    assert heads.find(seen.SerializeToString()) is None
    heads.learn(seen.SerializeToString(), seen)
    head = heads.find(raw := again.SerializeToString())
    assert head is not None
    monkeypatch.setattr(grpc_messages, "decode", lambda *_: pytest.fail("protobuf was asked"))
    call = known_decoder(SIGNATURES["FP64"])(head, raw)
    assert call.inputs["x"].tolist() == [[3.0, -0.0, 4.0]]
    assert call.inputs["x"].flags.owndata or call.inputs["x"].base.flags.owndata
    assert call.inputs["x"].flags.writeable


@pytest.mark.parametrize(
    "request_",
    [usual(id="7"), usual(values=np.zeros(10_000)), usual("m" * 3000), usual(outputs=[{"name": "y"}])],
    ids=["id", "large", "long", "output"],
)
def test_others_are_not_remembered(request_: Any) -> None:
    heads = TemplateCache()
    heads.learn(request_.SerializeToString(), request_)
    assert heads.find(request_.SerializeToString()) is None


def test_clients_that_never_repeat_a_head_do_not_fill_the_memory() -> None:
    heads = TemplateCache()
    for i in range(3 * grpc_templates.MOST):
        message = usual(f"{i:05}")
        heads.learn(raw := message.SerializeToString(), message)
        assert heads.find(raw) is not None
    assert len(heads._known) <= grpc_templates.MOST


dtypes = st.sampled_from(["float64", "float32", "float16", "int64", "int8", "uint16", "bool", ">f8", ">i4", "object"])
shapes = st.sampled_from([(1,), (3,), (2, 2), (0,), (0, 3), (1, 2, 3)])


@settings(max_examples=300, deadline=None)
@given(forms=st.lists(st.lists(st.tuples(st.sampled_from("yz"), dtypes, shapes), max_size=2), max_size=8))
def test_answers(forms: list[list[tuple[str, str, tuple[int, ...]]]]) -> None:
    answers, call = AnswerTemplates("m", "3"), DecodedV2Request({}, 1, {}, "", {}, binary=True)
    for number, form in enumerate([*forms, *forms]):
        outputs = {name: np.full(shape, str(number % 2)).astype(dtype) for name, dtype, shape in form}
        expected = grpc_messages.encode(outputs, call, "m", "3").SerializeToString()
        assert answers.encode(outputs, call) == expected
