"""TensorFlow Serving's REST API, for models whose signature says `tf_serving`: a dialect of V1.

    row       {"instances": [row, ...]}     -> {"predictions": [row, ...]}
    columnar  {"inputs": whole tensor(s)}   -> {"outputs": whole tensor(s)}

Tensors go by name in an object; the name may be left out where there is only one. `"signature_name"` (in the body, or
a parameter) picks one of the model's signatures. Bytes travel as `{"b64": "..."}`. NaN, Infinity and -Infinity are
taken and written bare, which JSON does not know but JavaScript's and Python's parsers do.

Source: tensorflow.org/tfx/serving/api_rest, "Predict API" and "JSON conformance".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from adapters.base import Array, Signature, Tensors
from adapters.shared.arrays import array_of
from server.codec.data_frames import is_named
from server.codec.decoded_request import SIGNATURE_NAME, DecodedRequest, rows_of, variant
from server.codec.error_text import nearest
from server.codec.instances import decode_named, decode_rows, decode_single, refuse_v2, unknown_name
from server.codec.json_bodies import not_finite, parse_object
from server.codec.json_tensors import depth
from server.codec.outputs import dumps_arrays, listed, native, numbers
from server.codec.parameters import read_parameters, refuse_others
from server.errors import InvalidInput

_EXPECTED = '"instances" or "inputs"'
_KNOWN = ("instances", "inputs", "parameters", SIGNATURE_NAME)


class RequestFormat(Enum):
    """How the tensors of a request came, and those of its answer go."""

    ROW = "instances, one a row"
    SINGLE = "one instance that holds whole tensors: the model has no batch dimension"
    COLUMNAR = "whole tensors"


@dataclass(slots=True, eq=False)
class DecodedTfRequest(DecodedRequest):
    """A request, and how its answer is to be written."""

    format: RequestFormat
    instances: int  #: how many were sent
    left_out: int  #: dimensions that the client left out of the inputs, as it may where they are one value a row


def decode(raw: bytes | dict[str, Any], signature: Signature) -> DecodedTfRequest:
    """A request body, as bytes or already parsed, to inputs that fit the signature that it names.

    Raises:
        InvalidInput: the client's fault, naming the field.
    """
    body = raw if isinstance(raw, dict) else parse_object(raw, _EXPECTED, not_finite(signature))
    parameters = _parameters(body, signature)
    chosen = variant(signature, parameters)
    columnar = "inputs" in body
    if columnar == ("instances" in body):
        sent = "both" if columnar else f"neither; {nearest(next(iter(body), ''), ['instances', 'inputs'])}"
        raise InvalidInput(f'send "instances" (rows) or "inputs" (whole tensors); the body has {sent}')
    refuse_others("the body", body, _KNOWN)
    refuse_v2(body["inputs" if columnar else "instances"], chosen)
    if columnar:
        layout, count, inputs = RequestFormat.COLUMNAR, 0, _columns(body["inputs"], chosen)
    else:
        layout, inputs = _instances(body["instances"], chosen)
        count = len(body["instances"])
    rows = rows_of(inputs, chosen)
    left_out = _left_out(body["inputs" if columnar else "instances"], layout, chosen)
    return DecodedTfRequest(inputs, rows, parameters, layout, count, left_out, batched=chosen.batched)


def encode(outputs: Tensors, signature: Signature, call: DecodedRequest | None) -> bytes:
    """The response body; `signature` is the model's own, `call` the request (rows of it where there is none)."""
    chosen = variant(signature, call.parameters if call else {})
    always = {spec.name for spec in chosen.outputs if spec.base64}
    if isinstance(call, DecodedTfRequest) and call.left_out:
        outputs = {name: _without(array, call.left_out) for name, array in outputs.items()}
    values = {name: _values(array, name in always) for name, array in outputs.items()}
    answer = _body(values, outputs, call)
    if all(np.isfinite(array).all() for array in outputs.values() if array.dtype.kind == "f"):
        return dumps_arrays(answer)
    return json.dumps(answer, default=native, ensure_ascii=False, separators=(",", ":")).encode()


def _body(values: dict[str, Any], outputs: Tensors, call: DecodedRequest | None) -> dict[str, Any]:
    """The body that holds the values, in the form of the request."""
    layout = call.format if isinstance(call, DecodedTfRequest) else RequestFormat.ROW
    only = next(iter(values.values()))
    if layout is RequestFormat.COLUMNAR:
        return {"outputs": only if len(values) == 1 else values}
    if layout is RequestFormat.SINGLE:
        return {"predictions": [only if len(values) == 1 else values]}
    if isinstance(call, DecodedTfRequest) and not call.batched:
        _check_rows(outputs, call.instances)
    if len(values) == 1:
        return {"predictions": only}
    columns = [value.tolist() if isinstance(value, np.ndarray) else value for value in values.values()]
    return {"predictions": [dict(zip(values, row, strict=True)) for row in zip(*columns, strict=True)]}


def _parameters(body: dict[str, Any], signature: Signature) -> dict[str, Any]:
    parameters = read_parameters(body.get("parameters"), signature)
    if body.get(SIGNATURE_NAME) is not None:
        parameters |= read_parameters({SIGNATURE_NAME: body[SIGNATURE_NAME]}, signature)
    return parameters


def _columns(value: Any, signature: Signature) -> Tensors:
    names = tuple(spec.name for spec in signature.inputs)
    if not is_named(value):
        if len(names) != 1:
            raise InvalidInput(f"inputs must be an object with {', '.join(map(repr, names))}")
        value = {names[0]: value}
    single = [spec.name for spec in signature.inputs if spec.shape in ((-1,), (-1, 1)) and not spec.any_rank]
    value = {name: [item] if name in single and not isinstance(item, list) else item for name, item in value.items()}
    if not value.keys() <= set(names):
        raise InvalidInput(f"inputs{unknown_name(value, names)}")
    return decode_named(value, signature, "inputs")


def _instances(instances: Any, signature: Signature) -> tuple[RequestFormat, Tensors]:
    if not isinstance(instances, list):
        raise InvalidInput('"instances" must be a list with one entry an instance')
    if not instances:
        raise InvalidInput('"instances" is empty: send at least one instance')
    if not signature.inputs and instances != [{}]:
        raise InvalidInput('the model takes no inputs: send {"instances": [{}]}')
    if signature.batched:
        return RequestFormat.ROW, decode_rows(instances, signature, "instances")
    try:  # rows that stack up to the whole tensors
        if signature.inputs:
            return RequestFormat.ROW, decode_rows(instances, signature, "instances")
    except InvalidInput:
        if len(instances) > 1 and all(spec.shape for spec in signature.inputs):
            raise
    return RequestFormat.SINGLE, decode_single(instances, signature, "instances")


def _left_out(value: Any, layout: RequestFormat, signature: Signature) -> int:
    """How many dimensions all inputs lack (-1: have too many), where each is one value a row: [n, 1], or [n]."""
    shapes = {spec.shape for spec in signature.inputs if not spec.any_rank}
    if layout is RequestFormat.SINGLE or len(shapes) != 1 or not shapes < {(-1,), (-1, 1)}:
        return 0
    (shape,) = shapes
    rows = layout is RequestFormat.ROW
    first = value[0] if rows else value
    sent = {rows + depth(each) for each in (first.values() if is_named(first) else [first])}
    return len(shape) - sent.pop() if len(sent) == 1 else 0


def _without(array: Array, dimensions: int) -> Array:
    """The array without so many last dimensions, which hold one value; -1: with one more."""
    if dimensions < 0:
        return array.reshape(-1, 1) if array.ndim == 1 else array
    return array.reshape(array.shape[:-dimensions]) if array.shape[-dimensions:] == (1,) * dimensions else array


def _check_rows(outputs: Tensors, rows: int) -> None:
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != rows:
            held = f"{len(array)} rows" if array.ndim else "no rows"
            raise InvalidInput(f'the output {name!r} has {held} for {rows} instances: send whole tensors as "inputs"')


def _values(array: Array, encoded: bool) -> Any:
    """An output as JSON can hold it: the array where orjson writes it, else nested lists."""
    if encoded and array.dtype.kind == "O":
        return _each(array, _b64)
    return values if (values := numbers(array)) is not None else listed(array)


def _each(array: Array, convert: Callable[[Any], Any]) -> Any:
    return array_of([convert(value) for value in array.flat]).reshape(array.shape).tolist()


def _b64(value: str | bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value.encode() if isinstance(value, str) else value).decode()}
