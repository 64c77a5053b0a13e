"""MLServer's content types: done, or refused by their name, on REST and gRPC."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import Signature
from server.codec import grpc_messages, v2
from server.errors import InvalidInput
from tests.server.codec.signatures import one

TEXTS, BINARY, NUMBERS = one("BYTES", -1), one("BYTES", -1, binary=True), one("FP64", -1)


def over_rest(data: list[Any], kind: Any, signature: Signature, datatype: str = "BYTES", request: Any = None) -> Any:
    parameters = {} if kind is None else {"content_type": kind}
    tensor = {"name": "x", "shape": [len(data)], "datatype": datatype, "data": data, "parameters": parameters}
    body = {"inputs": [tensor], "parameters": {"content_type": request}}
    return v2.decode(orjson.dumps(body), None, signature).inputs["x"].tolist()


def over_grpc(data: list[Any], kind: Any, signature: Signature, datatype: str = "BYTES", request: Any = None) -> Any:
    message = pb.ModelInferRequest()
    tensor = message.inputs.add(name="x", shape=[len(data)], datatype=datatype)
    if kind is not None:
        tensor.parameters["content_type"].string_param = kind
    if request is not None:
        message.parameters["content_type"].string_param = request
    field = "bytes_contents" if datatype == "BYTES" else "fp64_contents"
    getattr(tensor.contents, field).extend(each.encode() if isinstance(each, str) else each for each in data)
    return grpc_messages.decode(message, signature).inputs["x"].tolist()


ways = pytest.mark.parametrize("ask", [over_rest, over_grpc])


@ways
def test_base64_is_decoded(ask: Any) -> None:
    sent = [base64.b64encode(text).decode() for text in ("é".encode(), b"")]
    assert ask(sent, "base64", TEXTS) == ["é", ""]
    assert ask(sent, "base64", BINARY) == ["é".encode(), b""]
    assert ask(sent, None, TEXTS) == sent
    assert ask(["/w=="], "base64", BINARY) == [b"\xff"]


@ways
@pytest.mark.parametrize("kind", ["str", "datetime", "np"])
def test_texts_and_dates_are_texts(ask: Any, kind: str) -> None:
    assert ask(["2024-01-05T00:00:00"], kind, TEXTS) == ["2024-01-05T00:00:00"]


@ways
def test_numbers_are_numbers(ask: Any) -> None:
    assert ask([1.0, 2.0], "np", NUMBERS, "FP64", "np") == [1.0, 2.0]


@ways
@pytest.mark.parametrize("kind", ["hg_jpeg", "hg_json", "pillow_image", "pd", "STR", "application/json"])
def test_what_is_not_known_is_refused_by_its_name(ask: Any, kind: str) -> None:
    with pytest.raises(InvalidInput, match=f"'x'\\): content_type the string '{kind}' is unknown"):
        ask(["a"], kind, TEXTS)
    if kind != "pd":
        with pytest.raises(InvalidInput, match=f"parameters: content_type the string '{kind}' is unknown"):
            ask(["a"], None, TEXTS, request=kind)


@ways
def test_what_is_none_is_refused(ask: Any) -> None:
    with pytest.raises(InvalidInput, match=r"inputs\[0\] \('x'\)\[1\] is not base64, as its content_type says"):
        ask(["YQ==", "a b"], "base64", TEXTS)
    with pytest.raises(InvalidInput, match="is not UTF-8 text"):
        ask(["/w=="], "base64", TEXTS)
    for kind in ("base64", "str", "datetime"):
        with pytest.raises(InvalidInput, match=f"content_type '{kind}' is one of texts: send them as BYTES"):
            ask([1.0], kind, NUMBERS, "FP64")
    with pytest.raises(InvalidInput, match="content_type 'str' is one of texts"):
        ask([1.0], None, NUMBERS, "FP64", "str")
    with pytest.raises(InvalidInput, match="content_type the string 'base64' is one of tensors, not of requests"):
        ask(["YQ=="], None, TEXTS, request="base64")
