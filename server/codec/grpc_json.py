"""A serialized request or answer of gRPC as V2 has the same in JSON: for who reads logs, no client gets this.

A request can be sent again over REST as it is logged. Elements that are no texts are in base64, and say so.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.codec.grpc_messages import CONTENTS, value_of
from server.codec.raw_tensors import from_bytes

_BASE64 = {"content_type": "base64"}


def request_json(message: bytes) -> bytes:
    """A `ModelInferRequest`.

    Raises:
        InvalidInput, DecodeError: it is none that can be read.
    """
    request = pb.ModelInferRequest.FromString(message)
    wanted = [{"name": entry.name, **_parameters(entry.parameters)} for entry in request.outputs]
    inputs = _tensors(request.inputs, request.raw_input_contents)
    return _json(request, inputs=inputs, **({"outputs": wanted} if wanted else {}))


def response_json(message: bytes) -> bytes:
    """A `ModelInferResponse`. Raises what `request_json` raises."""
    response = pb.ModelInferResponse.FromString(message)
    return _json(response, outputs=_tensors(response.outputs, response.raw_output_contents))


def _json(message: Any, **tensors: list[dict[str, Any]]) -> bytes:
    known = {"model_name": message.model_name, "model_version": message.model_version, "id": message.id}
    fields = {name: value for name, value in known.items() if value}
    return orjson.dumps({**fields, **_parameters(message.parameters), **tensors}, option=orjson.OPT_SERIALIZE_NUMPY)


def _tensors(entries: Iterable[Any], raws: Sequence[bytes]) -> list[dict[str, Any]]:
    return [_tensor(entry, raws[number] if raws else None) for number, entry in enumerate(entries)]


def _tensor(entry: Any, raw: bytes | None) -> dict[str, Any]:
    if raw is None:
        values = list(getattr(entry.contents, CONTENTS[entry.datatype]))
    else:
        values = from_bytes(raw, entry.datatype, list(entry.shape), entry.name).reshape(-1).tolist()
    parameters = _parameters(entry.parameters)
    if entry.datatype == "BYTES":
        try:
            values = [bytes(value).decode() for value in values]
        except UnicodeDecodeError:
            values = [base64.b64encode(value).decode() for value in values]
            parameters = {"parameters": {**parameters.get("parameters", {}), **_BASE64}}
    known = {"name": entry.name, "shape": list(entry.shape), "datatype": entry.datatype}
    return {**known, **parameters, "data": values}


def _parameters(of: Any) -> dict[str, Any]:
    return {"parameters": {name: value_of(each) for name, each in of.items()}} if of else {}
