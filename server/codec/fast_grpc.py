"""The short way of the usual gRPC request, as `fast` has it for REST; apart from it, since this imports KServe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.base import Signature
from server.codec import grpc_
from server.codec.fast import FLOATS, cast, matrix_of, merge_key
from server.codec.v2 import V2Call


def grpc_decoder(signature: Signature) -> Callable[[Any], V2Call]:
    """`grpc_.decode` for one signature."""
    spec = matrix_of(signature)
    if spec is None:
        return lambda request: grpc_.decode(request, signature)
    name, width, dtype, key = spec.name, spec.shape[1], spec.dtype, merge_key(spec)
    others = frozenset(signature.columns)

    def short(request: Any) -> V2Call | None:
        if len(request.inputs) != 1 or request.parameters or request.outputs:
            return None
        (tensor,) = request.inputs
        sent, shape, raws = FLOATS.get(tensor.datatype), tensor.shape, request.raw_input_contents
        named = tensor.name == name or (signature.any_name and tensor.name not in others)
        if sent is None or not named or tensor.parameters or len(shape) != 2 or shape[1] != width or shape[0] < 1:
            return None
        size = shape[0] * width
        if raws:
            if len(raws) != 1 or tensor.HasField("contents") or len(raws[0]) != size * sent.itemsize:
                return None
            values = np.frombuffer(raws[0], sent).copy()
        else:
            fields = tensor.contents.ListFields()
            if len(fields) != 1 or fields[0][0].name != grpc_.CONTENTS[tensor.datatype] or len(fields[0][1]) != size:
                return None
            values = np.array(fields[0][1], sent)
        matrix = cast(values.reshape(shape[0], width), dtype)
        if matrix is None or (spec.finite and not np.isfinite(matrix).all()):
            return None
        return V2Call({name: matrix}, int(shape[0]), {}, request.id, {}, bool(raws), key=key)

    return lambda request: short(request) or grpc_.decode(request, signature)
