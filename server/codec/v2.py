"""Open Inference Protocol (V2) over REST: JSON, and JSON followed by raw tensors (the binary tensor extension).

Source: Open Inference Protocol, "Inference Request JSON Object"; Triton's "Binary tensor data extension".
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from adapters.base import Array, Signature, Tensors, TensorSpec
from adapters.datatypes import datatype_of
from server.codec import content_types
from server.codec.binding import WireTensor, bind, check_count
from server.codec.decoded_request import DecodedRequest, rows_of, variant
from server.codec.error_text import described, quoted, shown
from server.codec.json_bodies import not_finite, parse_object
from server.codec.json_tensors import depth, fit, from_json
from server.codec.outputs import dumps_arrays, numbers, texts
from server.codec.parameters import (
    OF_V2_REQUESTS,
    check_few,
    flag,
    read_parameters,
    refuse_others,
    with_outputs,
)
from server.codec.raw_tensors import dtype_of, from_bytes, reshape, to_bytes
from server.codec.requested_outputs import RequestedOutput, labels_of, read_output, select
from server.errors import InvalidInput

HEADER_LENGTH = b"inference-header-content-length"
_EXPECTED = '"inputs"'
_OF_BODIES = ("inputs", "outputs", "parameters", "id", "model_name")
_OF_TENSORS = ("name", "shape", "datatype", "data", "parameters")
_OF_INPUTS = ("binary_data_size", "content_type", "headers")
_OF_OUTPUTS = ("name", "shape", "datatype", "parameters")
_DIGITS = 18  #: of a length that some body could have

#: tensor name -> the spec of the input that it is meant for; None where the name is no input's
SpecOf: TypeAlias = Callable[[str], TensorSpec | None]


@dataclass(slots=True, eq=False)
class DecodedV2Request(DecodedRequest):
    """A V2 request: the call, and how its answer is to be written."""

    id: str
    outputs: Mapping[str, RequestedOutput]  #: by name; empty asks for every output
    binary: bool  #: how outputs go that were not requested by name


def decode(raw: bytes, json_length: str | None, signature: Signature) -> DecodedV2Request:
    """A request body to inputs that fit the signature.

    `json_length` is the `Inference-Header-Content-Length` header: where the JSON ends and raw tensors begin.

    Raises:
        InvalidInput: the client's fault, naming the field.
    """
    head = _head_length(json_length, len(raw))
    if not head and raw:
        raise InvalidInput(
            "Inference-Header-Content-Length is 0: a tensor alone, without the JSON that names it, is not served; send "
            "its name, shape and datatype before it"
        )
    body = parse_object(raw[:head], _EXPECTED, not_finite(signature))
    return decode_parsed(body, memoryview(raw)[head:], signature)


def decode_parsed(body: dict[str, Any], tail: memoryview, signature: Signature) -> DecodedV2Request:
    """The same of a body whose JSON is parsed, where `data` may be an array already, and the raw tensors behind it."""
    if "instances" in body and "inputs" not in body:
        raise InvalidInput("this is a body of V1: POST it to /v1/models/NAME:predict; V2 takes tensors as inputs")
    refuse_others("the body", body, _OF_BODIES)
    sent = _object(body, "parameters", "parameters")
    inputs = body.get("inputs")
    if not isinstance(inputs, list):
        raise InvalidInput('"inputs" must be a list of tensors' if "inputs" in body else 'the body has no "inputs"')
    check_count(len(inputs), signature)
    check_few("inputs", _parameters_of(inputs))
    parameters = read_parameters(sent, signature, OF_V2_REQUESTS)
    kind = content_types.of_request(sent.get("content_type"))
    chosen = variant(signature, parameters)
    specs = {spec.name: spec for spec in chosen.inputs}
    only = chosen.inputs[0] if len(specs) == 1 else None  # whatever is sent is meant for the single input
    tensors = []
    for i, entry in enumerate(inputs):
        tensor, tail = _tensor(entry, f"inputs[{i}]", tail, lambda name: only or specs.get(name), kind)
        tensors.append(tensor)
    if tail:
        raise InvalidInput(f"{len(tail)} bytes follow the last tensor: their binary_data_size is missing or too small")
    bound = bind(tensors, chosen, kind)
    binary = flag(sent, "binary_data_output", False, "parameters")
    requested = _requested(body, binary, chosen)
    parameters = with_outputs(parameters, requested, signature)
    rows = rows_of(bound, chosen)
    return DecodedV2Request(bound, rows, parameters, _identifier(body), requested, binary, batched=chosen.batched)


def encode(outputs: Tensors, call: DecodedV2Request, model: str, version: str = "") -> tuple[bytes, int | None]:
    """The response body, and the length of its JSON when raw tensors follow it."""
    written, tail = [], []
    for name, array in select(outputs, call.outputs, call.batched).items():
        datatype = datatype_of(array.dtype)
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": datatype}
        if call.outputs[name].binary if call.outputs else call.binary:
            data = to_bytes(array, datatype)
            entry["parameters"] = {"binary_data_size": len(data)}
            tail.append(data)
        else:
            entry["data"] = _json_data(name, array, datatype)
        written.append(entry)
    response: dict[str, Any] = {"model_name": model}
    if version:
        response["model_version"] = version
    response |= {"id": call.id or _new_id(), "outputs": written}
    head = dumps_arrays(response)
    return (b"".join([head, *tail]), len(head)) if tail else (head, None)


#: a UUID would cost more than the rest of a small answer: half of one, and a count
_PROCESS = str(uuid.uuid4())[:-12]
_COUNT = itertools.count()


def _new_id() -> str:
    return f"{_PROCESS}{next(_COUNT):012x}"


def _tensor(
    entry: Any, field: str, tail: memoryview, spec_of: SpecOf, request_kind: str
) -> tuple[WireTensor, memoryview]:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise InvalidInput(f'{field} must be an object with "name", "shape", "datatype" and "data"')
    field = f"{field} ({quoted(entry['name'])})"
    shape = entry.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise InvalidInput(f"{field}: shape must be a list of whole numbers")
    dtype_of(entry.get("datatype"), field)
    refuse_others(field, entry, _OF_TENSORS)
    parameters = _object(entry, "parameters", field)
    refuse_others(f"{field}.parameters", parameters, _OF_INPUTS)
    kind = content_types.content_type(parameters.get("content_type"), field) or request_kind
    array, tail = _values(entry, shape, field, tail, spec_of)
    return WireTensor(entry["name"], content_types.decoded(array, kind, field)), tail


def _values(
    entry: dict[str, Any], shape: list[int], field: str, tail: memoryview, spec_of: SpecOf
) -> tuple[Array, memoryview]:
    """A tensor's elements, from its JSON or from what follows it; and what follows then."""
    size = _object(entry, "parameters", field).get("binary_data_size")
    if size is None:
        return _json_tensor(entry, shape, field, spec_of(entry["name"])), tail
    if entry.get("data") is not None:
        raise InvalidInput(f'{field} is sent twice: as "data" and as binary data')
    if type(size) is not int or not 0 <= size <= len(tail):
        held = f"the {len(tail)} bytes that follow"
        raise InvalidInput(f"{field}: binary_data_size is {described(size)}, which does not fit {held}")
    return from_bytes(tail[:size], entry["datatype"], shape, field), tail[size:]


def _json_tensor(entry: dict[str, Any], shape: list[int], field: str, wanted: TensorSpec | None) -> Array:
    """Values flat, or nested as the shape says."""
    datatype, data = entry["datatype"], entry.get("data")
    if not isinstance(data, list | np.ndarray):
        raise InvalidInput(f'{field}: "data" must be a list' if data is not None else f'{field} has no "data"')
    nested = (-1,) * depth(data)
    nullable = wanted is not None and wanted.nullable
    spec = TensorSpec("", datatype, nested, nullable=nullable, binary=wanted is not None and wanted.binary)
    array = fit(from_json(data, spec, f"{field} data"), spec, f"{field} data")
    if array.ndim > 1 and [size for size in array.shape if size != 1] != [size for size in shape if size != 1]:
        raise InvalidInput(f"{field}: data is nested as {shown(array.shape)}, but shape says {shown(shape)}")
    return reshape(array, shape, field)


def _parameters_of(entries: list[Any]) -> Iterator[dict[str, Any]]:
    """What names each tensor has, and its parameters; what else stands there is refused with its place."""
    for entry in entries:
        if isinstance(entry, dict):
            yield entry
            yield parameters if isinstance(parameters := entry.get("parameters"), dict) else {}


def _json_data(name: str, array: Array, datatype: str) -> Any:
    if datatype != "BYTES":
        return numbers(array.reshape(-1))
    try:
        return [item.decode() for item in texts(array)]
    except UnicodeDecodeError as error:
        raise InvalidInput(f'the output {name!r} is not UTF-8 text: ask for it with "binary_data": true') from error


def _head_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    if not header.isascii() or not header.isdigit() or len(header) > _DIGITS or int(header) > size:
        raise InvalidInput(f"Inference-Header-Content-Length is {quoted(header)}, but the body holds {size} bytes")
    return int(header)


def _object(entry: dict[str, Any], key: str, field: str) -> dict[str, Any]:
    value = entry.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{field}: {key} must be an object")
    return value


def _identifier(body: dict[str, Any]) -> str:
    value = body.get("id")
    if value is not None and not isinstance(value, str):
        raise InvalidInput(f'"id" must be a string, not {described(value)}')
    return value or ""


def _requested(body: dict[str, Any], binary: bool, signature: Signature) -> dict[str, RequestedOutput]:
    outputs = body.get("outputs")
    if outputs is None:
        return {}
    if not isinstance(outputs, list):
        raise InvalidInput('"outputs" must be a list of objects with a name')
    check_few("outputs", _parameters_of(outputs))
    requested: dict[str, RequestedOutput] = {}
    for i, entry in enumerate(outputs):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise InvalidInput(f'outputs[{i}] must be an object with a "name"')
        if entry["name"] in requested:
            raise InvalidInput(f"outputs: {quoted(entry['name'])} is asked for twice")
        refuse_others(f"outputs[{i}]", entry, _OF_OUTPUTS)
        parameters = _object(entry, "parameters", f"outputs[{i}]")
        labels = labels_of(entry["name"], signature)
        requested[entry["name"]] = read_output(parameters, binary, f"outputs[{i}]", labels)
    return requested
