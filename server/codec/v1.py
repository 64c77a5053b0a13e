"""KServe V1: `{"instances": [...]}` -> `{"predictions": [...]}`, one prediction an instance, in order.

The module `instances` says what an instance is. `"inputs"` is an alias of `"instances"`, and may also be an object of
whole columns: `{"inputs": {"age": [31, 40], "city": ["Rome", "Oslo"]}}`. MLflow's data frames are instances, too
(`mlflow_frames`). Where the signature says so, the body is TensorFlow Serving's (`tf_serving`).

Source: KServe V1 protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapters.base import Signature, Tensors
from server.codec import tf_serving
from server.codec.decoded_request import DecodedRequest, rows_of
from server.codec.error_text import nearest
from server.codec.instances import are_rows, decode_columns, decode_rows, decode_single, refuse_v2
from server.codec.json_bodies import not_finite, parse_object
from server.codec.mlflow_frames import as_instances
from server.codec.outputs import dumps, dumps_arrays, listed, numbers
from server.codec.parameters import read_parameters, refuse_others
from server.errors import InvalidInput

_EXPECTED = '"instances"'
_KNOWN = ("instances", "inputs", "parameters")


@dataclass(slots=True, eq=False)
class RowsRequest(DecodedRequest):
    """A request to a model without a batch dimension, whose instances are the rows of its tensors' first dimension."""

    instances: int


def decode(raw: bytes | dict[str, Any], signature: Signature) -> DecodedRequest:
    """A request body, as bytes or already parsed, to inputs that fit the signature.

    Raises:
        InvalidInput: the client's fault, naming the field.
    """
    if signature.tf_serving:
        return tf_serving.decode(raw, signature)
    body = raw if isinstance(raw, dict) else parse_object(raw, _EXPECTED, not_finite(signature))
    body = as_instances(body, signature)
    field = "instances" if "instances" in body else "inputs"
    if field not in body:
        hint = nearest(next(iter(body), ""), ["instances", "inputs"]) if body else 'send {"instances": [...]}'
        raise InvalidInput(f'the body has no "instances": {hint}')
    if "inputs" in body and "instances" in body:
        raise InvalidInput('send "instances" or "inputs"; the body has both')
    refuse_others("the body", body, _KNOWN)
    value = body[field]
    refuse_v2(value, signature)
    if field == "inputs" and isinstance(value, dict):
        inputs = decode_columns(value, signature)
    elif not isinstance(value, list):
        raise InvalidInput(f'"{field}" must be a list with one entry an instance')
    elif not value:
        raise InvalidInput(f'"{field}" is empty: send at least one instance')
    elif signature.batched:
        inputs = decode_rows(value, signature, field)
    else:
        inputs = decode_single(value, signature, field)
    parameters = read_parameters(body.get("parameters"), signature)
    if not signature.batched and isinstance(value, list) and are_rows(value, signature):
        return RowsRequest(inputs, 1, parameters, len(value))
    return DecodedRequest(inputs, rows_of(inputs, signature), parameters)


def encode(outputs: Tensors, signature: Signature, call: DecodedRequest | None = None) -> bytes:
    """The response body. One output gives its rows; several (or a `keyed` signature) an object an instance.

    `call` is the request: TensorFlow Serving answers in the form that it came in.
    """
    if signature.tf_serving:
        return tf_serving.encode(outputs, signature, call)
    by_row = signature.batched
    if isinstance(call, RowsRequest):
        by_row = all(array.shape[:1] == (call.instances,) for array in outputs.values())
    if len(outputs) == 1 and not signature.keyed:
        (array,) = outputs.values()
        if (values := numbers(array)) is not None:
            return dumps_arrays({"predictions": values if by_row else [values]})
        return dumps({"predictions": listed(array) if by_row else [listed(array)]})
    columns = [listed(array) for array in outputs.values()]
    rows = zip(*columns, strict=True) if by_row else [columns]
    return dumps({"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]})
