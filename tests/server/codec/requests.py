"""The same tensors as a request of each protocol, and JSON with one place of it changed."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import Array, Signature, Tensors
from adapters.datatypes import datatype_of
from server.codec.grpc_messages import CONTENTS
from server.codec.raw_tensors import to_bytes
from tests.server.codec.signatures import json_values, leaves


def v1_body(tensors: Tensors, signature: Signature) -> dict[str, Any]:
    columns = {name: nested(array) for name, array in tensors.items()}
    if not signature.batched:
        return {"instances": [columns]}
    if len(signature.inputs) == 1:
        (values,) = columns.values()
        return {"instances": values}
    return {"instances": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def v2_body(tensors: Tensors) -> dict[str, Any]:
    return {"inputs": [{**_head(name, array), "data": nested(array.reshape(-1))} for name, array in tensors.items()]}


def v2_binary(tensors: Tensors) -> tuple[bytes, int]:
    """The body, and the length of its JSON."""
    raws = [to_bytes(array, datatype_of(array.dtype)) for array in tensors.values()]
    inputs = [
        {**_head(name, array), "parameters": {"binary_data_size": len(raw)}}
        for (name, array), raw in zip(tensors.items(), raws, strict=True)
    ]
    head = orjson.dumps({"inputs": inputs})
    return b"".join([head, *raws]), len(head)


def grpc_typed(tensors: Tensors) -> Any:
    request = pb.ModelInferRequest()
    for name, array in tensors.items():
        entry = request.inputs.add(**_head(name, array))
        flat = [item.encode() if isinstance(item, str) else item for item in array.ravel().tolist()]
        getattr(entry.contents, CONTENTS[entry.datatype]).extend(flat)
    return request


def grpc_raw(tensors: Tensors) -> Any:
    request = pb.ModelInferRequest()
    for name, array in tensors.items():
        request.inputs.add(**_head(name, array))
        request.raw_input_contents.append(to_bytes(array, datatype_of(array.dtype)))
    return request


def nested(array: Array) -> Any:
    return _texts(array.tolist())


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """The JSON value with one place of it replaced, or left out."""
    if isinstance(value, (dict, list)) and value and draw(st.integers(0, 7)):
        copy = value.copy()
        key = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
        if draw(st.integers(0, 9)):
            copy[key] = draw(mutated(copy[key]))
        else:
            del copy[key]
        return copy
    return draw(leaves | json_values)


def _head(name: str, array: Array) -> dict[str, Any]:
    return {"name": name, "shape": list(array.shape), "datatype": datatype_of(array.dtype)}


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value
