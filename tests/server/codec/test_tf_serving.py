"""TensorFlow Serving's dialect on signatures made by hand: forms, variants over every protocol, values on the wire."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import Parameter, Parameters, Signature, Tensors, TensorSpec
from server.codec import grpc_messages, tf_serving, v1, v2
from server.codec.fast.json_rows import v1_decoder
from server.errors import InvalidInput
from server.inference.batching.batcher import Batcher
from server.inference.batching.queue import Limits
from tests.asking import submit

ROWS = Signature(
    (TensorSpec("x", "FP32", (-1, 2)),),
    (TensorSpec("y", "FP32", (-1, 2)), TensorSpec("raw_bytes", "BYTES", (-1,), binary=True, base64=True)),
    tf_serving=True,
)
WHOLE = Signature((TensorSpec("n", "INT64", ()),), (TensorSpec("m", "INT64", ()),), tf_serving=True, batched=False)
MODEL = Signature(
    ROWS.inputs,
    ROWS.outputs,
    tf_serving=True,
    variants={"rows": ROWS, "whole": WHOLE},
    parameters=(Parameter("signature_name", str, ("rows", "whole")),),
)
LOOSE = Signature((TensorSpec("x", "FP32", (-1,), any_rank=True),), (TensorSpec("y", "FP32", (-1,)),), tf_serving=True)


def predict(inputs: Tensors, parameters: Parameters) -> Tensors:
    if parameters.get("signature_name") == "whole":
        return {"m": inputs["n"] * 2}
    raw = np.array([b"\xff", b"text"] * len(inputs["x"]), np.object_)[: len(inputs["x"])]
    return {"y": inputs["x"] / 2, "raw_bytes": raw}


def ask(body: Any, signature: Signature = MODEL) -> Any:
    call = v1.decode(orjson.dumps(body), signature)
    return json.loads(v1.encode(predict(call.inputs, call.parameters), signature, call))


def test_rows_and_columns() -> None:
    rows = [{"y": [0.5, 1], "raw_bytes": {"b64": "/w=="}}, {"y": [1.5, 2], "raw_bytes": {"b64": "dGV4dA=="}}]
    columns = {"y": [[0.5, 1], [1.5, 2]], "raw_bytes": [{"b64": "/w=="}, {"b64": "dGV4dA=="}]}
    assert ask({"instances": [[1, 2], [3, 4]]}) == {"predictions": rows}
    assert ask({"inputs": [[1, 2], [3, 4]]}) == {"outputs": columns}
    assert ask({"inputs": {"x": [[1, 2], [3, 4]]}, "signature_name": "rows"}) == {"outputs": columns}


def test_the_short_way_answers_as_the_long_one() -> None:
    raw = b'{"instances": [[1, 2], [3, 4]]}'
    short, long = v1_decoder(MODEL)(raw), v1.decode(raw, MODEL)
    answers = [v1.encode(predict(call.inputs, call.parameters), MODEL, call) for call in (short, long)]
    assert answers[0] == answers[1]


def test_a_scalar_goes_in_and_comes_out() -> None:
    assert ask({"inputs": 4, "signature_name": "whole"}) == {"outputs": 8}
    assert ask({"instances": [4], "signature_name": "whole"}) == {"predictions": [8]}
    with pytest.raises(InvalidInput, match="no batch dimension"):
        ask({"instances": [4, 5], "signature_name": "whole"})


@pytest.mark.parametrize("value", [1.5, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_arrives(value: float, dtype: type[np.floating[Any]]) -> None:
    signature = Signature((TensorSpec("x", "FP64", (-1,)),), (TensorSpec("y", "FP64", (-1,)),), tf_serving=True)
    call = v1.decode(json.dumps({"instances": [value]}).encode(), signature)
    written = v1.encode({"y": call.inputs["x"].astype(dtype)}, signature, call)
    assert written == json.dumps({"predictions": [value]}, separators=(",", ":")).encode()


def test_bodies_of_other_models_know_no_such_numbers() -> None:
    with pytest.raises(InvalidInput, match="not JSON"):
        v1.decode(b'{"instances": [NaN]}', Signature((TensorSpec("x", "FP64", (-1,)),), ()))


def test_any_rank_takes_any_number_of_dimensions() -> None:
    for instances in ([1, 2], [[1, 2], [3, 4]], [[[1]], [[2]]]):
        call = v1.decode(orjson.dumps({"instances": instances}), LOOSE)
        assert call.inputs["x"].tolist() == instances
        assert call.rows == 2
    for bad in ({"inputs": 3}, {"instances": [[1], [1, 2]]}, {"instances": ["a"]}, {"instances": [[]]}):
        with pytest.raises(InvalidInput):
            v1.decode(orjson.dumps(bad), LOOSE)
    column = {"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1, 2]}
    assert v2.decode(orjson.dumps({"inputs": [column]}), None, LOOSE).inputs["x"].shape == (2, 1)


def v2_call(name: str, **parameters: Any) -> v2.DecodedV2Request:
    tensor = {"name": name, "shape": [], "datatype": "INT64", "data": [4]}
    return v2.decode(orjson.dumps({"inputs": [tensor], "parameters": parameters}), None, MODEL)


def test_v2_picks_a_signature_by_parameter() -> None:
    call = v2_call("n", signature_name="whole")
    assert (call.rows, call.batched, call.inputs["n"].tolist()) == (1, False, 4)
    with pytest.raises(InvalidInput, match="'n' is unknown"):
        v2_call("n")
    with pytest.raises(InvalidInput, match="signature_name"):
        v2_call("n", signature_name="hole")


def test_grpc_picks_a_signature_by_parameter() -> None:
    request = pb.ModelInferRequest(model_name="m")
    tensor = request.inputs.add(name="n", datatype="INT64")
    tensor.contents.int64_contents.append(4)
    with pytest.raises(InvalidInput, match="'n' is unknown"):
        grpc_messages.decode(request, MODEL)
    request.parameters["signature_name"].string_param = "whole"
    call = grpc_messages.decode(request, MODEL)
    assert (call.batched, call.inputs["n"].tolist()) == (False, 4)


def test_signatures_share_a_queue_but_no_call() -> None:
    """Whole tensors are never merged, nor are their lengths compared; rows of two names never meet."""
    bodies: list[dict[str, Any]] = []
    for number in range(8):
        bodies += [
            {"inputs": number, "signature_name": "whole"},
            {"instances": [[number, 1]]},
            {"instances": [[number, 2]] * 3, "signature_name": "rows"},
        ]
    calls = [v1.decode(orjson.dumps(body), MODEL) for body in bodies]

    async def all_at_once() -> list[Tensors]:
        with ThreadPoolExecutor(2) as pool:
            batcher = Batcher(predict, pool, Limits(max_rows=64))
            return await asyncio.gather(*(submit(batcher, call) for call in calls))

    for call, outputs in zip(calls, asyncio.run(all_at_once()), strict=True):
        wanted = predict(call.inputs, call.parameters)
        assert {name: array.tolist() for name, array in outputs.items() if name != "raw_bytes"} == {
            name: array.tolist() for name, array in wanted.items() if name != "raw_bytes"
        }


def test_a_call_says_how_it_came() -> None:
    call = v1.decode(b'{"inputs": [[1, 2]]}', MODEL)
    assert isinstance(call, tf_serving.DecodedTfRequest)
    assert call.format is tf_serving.RequestFormat.COLUMNAR
