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
from server.codec.fast.grpc_templates import AnswerTemplates, TemplateCache, grpc_decoder, known_decoder
from server.codec.v2 import DecodedV2Request
from tests.server.codec.fast.test_json_rows import SIGNATURES, outcome

VALUES = np.array([1.5, -0.0, 2.0])


def usual(model: str = "m", values: Any = VALUES, **more: Any) -> Any:
    message = pb.ModelInferRequest(model_name=model, **more)
    message.inputs.add(name="x", datatype="FP64", shape=[1, len(values)])
    message.raw_input_contents.append(values.tobytes())
    return message


floats = st.lists(st.one_of(st.floats(), st.floats(width=32), st.just(1e300)), max_size=6)


@st.composite
def messages(draw: st.DrawFn) -> Any:
    """Requests over gRPC, good ones and others."""
    request = pb.ModelInferRequest(model_name="m", id=draw(st.sampled_from(["", "7"])))
    for _ in range(draw(st.sampled_from([1, 1, 1, 1, 0, 2]))):
        shape = draw(st.sampled_from([[1, 3], [1, 3], [2, 3], [3, 1], [3], [0, 3], [-1, 3], [1, 3, 1]]))
        tensor = request.inputs.add(
            name=draw(st.sampled_from(["x", "a", "other"])),
            datatype=draw(st.sampled_from(["FP64", "FP64", "FP32", "INT64", "BYTES", "none"])),
            shape=shape,
        )
        values = draw(st.one_of(st.just([1.5, -0.0, 2.0]), floats))
        way = draw(st.sampled_from(["fp64", "fp64", "fp32", "both", "raw", "raw32", "none", "more"]))
        if way in ("fp64", "both"):
            tensor.contents.fp64_contents.extend(values)
        if way in ("fp32", "both", "more"):
            tensor.contents.fp32_contents.extend(np.array(values, np.float32).tolist())
        if way in ("raw", "raw32", "more"):
            request.raw_input_contents.append(np.array(values, np.float32 if way == "raw32" else np.float64).tobytes())
        if draw(st.integers(0, 9)) == 0:
            tensor.parameters["p"].string_param = "q"
    if draw(st.integers(0, 9)) == 0:
        request.parameters["content_type"].string_param = "pd"
    if draw(st.integers(0, 9)) == 0:
        request.outputs.add(name="y")
    return request


@pytest.mark.filterwarnings("ignore:overflow")
@settings(max_examples=300, deadline=None)
@given(request=messages())
def test_grpc(request: Any) -> None:
    for name, signature in SIGNATURES.items():
        fast = outcome(lambda: grpc_decoder(signature)(request))  # noqa: B023
        assert fast == outcome(lambda: grpc_messages.decode(request, signature)), name  # noqa: B023


@pytest.mark.filterwarnings("ignore:overflow")
@settings(max_examples=300, deadline=None)
@given(seen=messages(), request=messages())
def test_requests(seen: Any, request: Any) -> None:
    cache = TemplateCache()
    cache.learn(seen.SerializeToString(), seen)
    for message in (seen, request):
        raw = message.SerializeToString()
        if (template := cache.find(raw)) is not None:
            assert (template.model, template.version) == (message.model_name, message.model_version or None)
            for name, signature in SIGNATURES.items():
                known = outcome(lambda: known_decoder(signature)(template, raw))  # noqa: B023
                assert known == outcome(lambda: grpc_messages.decode(message, signature)), name  # noqa: B023


@pytest.mark.parametrize("version", [None, "3"])
def test_the_usual_request_is_known_again(version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = TemplateCache()
    seen, again = usual(model_version=version), usual(model_version=version, values=VALUES * 2)
    assert cache.find(seen.SerializeToString()) is None
    cache.learn(seen.SerializeToString(), seen)
    template = cache.find(raw := again.SerializeToString())
    assert template is not None
    monkeypatch.setattr(grpc_messages, "decode", lambda *_: pytest.fail("protobuf was asked"))
    call = known_decoder(SIGNATURES["FP64"])(template, raw)
    assert call.inputs["x"].tolist() == [[3.0, -0.0, 4.0]]
    assert call.inputs["x"].flags.writeable  # in memory of its own, as the message's is not
    assert call.inputs["x"].flags.writeable


@pytest.mark.parametrize(
    "request_",
    [usual(id="7"), usual(values=np.zeros(10_000)), usual("m" * 3000), usual(outputs=[{"name": "y"}])],
    ids=["id", "large", "long", "output"],
)
def test_others_are_not_remembered(request_: Any) -> None:
    cache = TemplateCache()
    cache.learn(request_.SerializeToString(), request_)
    assert cache.find(request_.SerializeToString()) is None


def test_clients_that_never_repeat_a_head_do_not_fill_the_memory() -> None:
    cache = TemplateCache()
    for i in range(3 * grpc_templates.MAX_TEMPLATES):
        message = usual(f"{i:05}")
        cache.learn(raw := message.SerializeToString(), message)
        assert cache.find(raw) is not None
    assert len(cache._templates) <= grpc_templates.MAX_TEMPLATES


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


@pytest.mark.parametrize("known", [1, 2])
def test_a_message_that_begins_alike_and_has_another_length_is_not_known(known: int) -> None:
    """Whatever lengths others have sent: of one row, with as many bytes behind it as two rows have, and the reverse."""
    cache = TemplateCache()
    messages = {rows: _rows(rows) for rows in (1, 2)}
    for message in messages.values():
        cache.learn(message.SerializeToString(), message)
    one, two = (messages[rows].SerializeToString() for rows in (1, 2))
    missing = len(two) - len(one)
    unknown_field = bytes([15 << 3 | 2, missing - 2]) + bytes(missing - 2)
    assert cache.find(one) is not None
    assert cache.find(two) is not None
    forged = {1: one + unknown_field, 2: two[: len(one)]}[known]
    assert cache.find(forged) is None


def _rows(count: int) -> Any:
    message = pb.ModelInferRequest(model_name="m")
    message.inputs.add(name="x", datatype="FP64", shape=[count, 3])
    message.raw_input_contents.append(np.zeros((count, 3)).tobytes())
    return message
