"""A serialized request or answer of gRPC as V2 has the same in JSON: for who reads logs, no client gets this."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.codec.grpc_messages import CONTENTS, value_of
from server.codec.raw_tensors import from_bytes


def request_json(message: bytes) -> bytes:
    """A `ModelInferRequest`.

    Raises:
        InvalidInput, DecodeError: it is none that can be read.
    """
    request = pb.ModelInferRequest.FromString(message)
    return _json(request, inputs=_tensors(request.inputs, request.raw_input_contents))


def response_json(message: bytes) -> bytes:
    """A `ModelInferResponse`. Raises what `request_json` raises."""
    response = pb.ModelInferResponse.FromString(message)
    return _json(response, outputs=_tensors(response.outputs, response.raw_output_contents))


def _json(message: Any, **tensors: list[dict[str, Any]]) -> bytes:
    known = {"model_name": message.model_name, "model_version": message.model_version, "id": message.id}
    fields = {name: value for name, value in known.items() if value}
    return orjson.dumps({**fields, **_parameters(message.parameters), **tensors}, option=orjson.OPT_SERIALIZE_NUMPY)


def _tensors(entries: Iterable[Any], raws: Sequence[bytes]) -> list[dict[str, Any]]:
    return [
        {
            "name": entry.name,
            "shape": list(entry.shape),
            "datatype": entry.datatype,
            **_parameters(entry.parameters),
            "data": _values(entry, raws[number] if raws else None),
        }
        for number, entry in enumerate(entries)
    ]


def _values(entry: Any, raw: bytes | None) -> list[Any]:
    if raw is None:
        values = list(getattr(entry.contents, CONTENTS[entry.datatype]))
    else:
        values = from_bytes(raw, entry.datatype, list(entry.shape), entry.name).reshape(-1).tolist()
    return [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values]


def _parameters(of: Any) -> dict[str, Any]:
    return {"parameters": {name: value_of(each) for name, each in of.items()}} if of else {}
