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
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import orjson

from adapters.base import Array, Signature, Tensors
from adapters.shared.arrays import array_of
from server.codec.decoded_request import SIGNATURE_NAME, DecodedRequest, parse_object, read_parameters, rows_of, variant
from server.codec.error_text import nearest
from server.codec.instances import decode_named, decode_rows, decode_single, is_named, unknown_name
from server.codec.outputs import dumps_arrays, listed, native, numbers
from server.errors import InvalidInput

_EXPECTED = '"instances" or "inputs"'
_NOT_FINITE = re.compile(rb"NaN|Infinity")


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


def decode(raw: bytes | dict[str, Any], signature: Signature) -> DecodedTfRequest:
    """A request body, as bytes or already parsed, to inputs that fit the signature that it names.

    Raises:
        InvalidInput: the client's fault, naming the field.
    """
    body = raw if isinstance(raw, dict) else _parse(raw)
    parameters = _parameters(body, signature)
    chosen = variant(signature, parameters)
    columnar = "inputs" in body
    if columnar == ("instances" in body):
        sent = "both" if columnar else f"neither; {nearest(next(iter(body), ''), ['instances', 'inputs'])}"
        raise InvalidInput(f'send "instances" (rows) or "inputs" (whole tensors); the body has {sent}')
    if columnar:
        layout, count, inputs = RequestFormat.COLUMNAR, 0, _columns(body["inputs"], chosen)
    else:
        layout, inputs = _instances(body["instances"], chosen)
        count = len(body["instances"])
    rows = rows_of(inputs, chosen)
    return DecodedTfRequest(inputs, rows, parameters, layout, count, batched=chosen.batched)


def encode(outputs: Tensors, signature: Signature, call: DecodedRequest | None) -> bytes:
    """The response body; `signature` is the model's own, `call` the request (rows of it where there is none)."""
    chosen = variant(signature, call.parameters if call else {})
    always = {spec.name for spec in chosen.outputs if spec.base64}
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


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        return parse_object(raw, _EXPECTED)
    except InvalidInput:
        if not _NOT_FINITE.search(raw):
            raise
        try:
            body = json.loads(raw)
            orjson.dumps(body)  # Python's parser takes texts that are not Unicode, and numbers of any length
        except (ValueError, TypeError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise
        return body


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
