"""KServe V1: `{"instances": [...]}` -> `{"predictions": [...]}`, one prediction an instance, in order.

The module `instances` says what an instance is. `"inputs"` is an alias of `"instances"`, and may also be an object of
whole columns: `{"inputs": {"age": [31, 40], "city": ["Rome", "Oslo"]}}`. Where the signature says so, the body is
TensorFlow Serving's (`tf_serving`).

Source: KServe V1 protocol.
"""

from __future__ import annotations

from typing import Any

from adapters.base import Signature, Tensors
from server.codec import tf_serving
from server.codec.decoded_request import DecodedRequest, parse_object, read_parameters, rows_of
from server.codec.error_text import nearest
from server.codec.instances import decode_columns, decode_rows, decode_single
from server.codec.outputs import dumps, dumps_arrays, listed, numbers
from server.errors import InvalidInput

_EXPECTED = '"instances"'


def decode(raw: bytes | dict[str, Any], signature: Signature) -> DecodedRequest:
    """A request body, as bytes or already parsed, to inputs that fit the signature.

    Raises:
        InvalidInput: the client's fault, naming the field.
    """
    if signature.tf_serving:
        return tf_serving.decode(raw, signature)
    body = raw if isinstance(raw, dict) else parse_object(raw, _EXPECTED)
    field = "instances" if "instances" in body else "inputs"
    if field not in body:
        hint = nearest(next(iter(body), ""), ["instances", "inputs"]) if body else 'send {"instances": [...]}'
        raise InvalidInput(f'the body has no "instances": {hint}')
    value = body[field]
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
    return DecodedRequest(inputs, rows_of(inputs, signature), read_parameters(body.get("parameters"), signature))


def encode(outputs: Tensors, signature: Signature, call: DecodedRequest | None = None) -> bytes:
    """The response body. One output gives its rows; several (or a `keyed` signature) an object an instance.

    `call` is the request: TensorFlow Serving answers in the form that it came in.
    """
    if signature.tf_serving:
        return tf_serving.encode(outputs, signature, call)
    if len(outputs) == 1 and not signature.keyed:
        (array,) = outputs.values()
        if (values := numbers(array)) is not None:
            return dumps_arrays({"predictions": values if signature.batched else [values]})
        return dumps({"predictions": listed(array) if signature.batched else [listed(array)]})
    columns = [listed(array) for array in outputs.values()]
    rows = zip(*columns, strict=True) if signature.batched else [columns]
    return dumps({"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]})
