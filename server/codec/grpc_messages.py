"""Open Inference Protocol (V2) over gRPC: protobuf messages <-> named arrays.

Tensors come typed (`contents`) or raw (`raw_input_contents`); the answer goes the way the request came, as in KServe.

Source: Open Inference Protocol, `grpc_predict_v2.proto`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import Array, Signature, Tensors
from adapters.datatypes import datatype_of
from adapters.formats.protobuf import BYTES, Malformed, fields
from server.codec import content_types
from server.codec.binding import WireTensor, bind, check_count
from server.codec.decoded_request import rows_of, variant
from server.codec.error_text import quoted
from server.codec.outputs import texts
from server.codec.parameters import OF_V2_REQUESTS, check_few, flag, read_parameters, refuse_others, with_outputs
from server.codec.raw_tensors import dtype_of, from_bytes, reshape, to_bytes
from server.codec.requested_outputs import RequestedOutput, labels_of, read_output, select
from server.codec.v2 import DecodedV2Request
from server.errors import InvalidInput

#: V2 datatype -> the field of `InferTensorContents` that carries it; FP16 travels raw only
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}

#: bytes of a message whose fields are counted before it is read, how many it may have, and which of them are tensors
_LARGE, _MOST_FIELDS, _TENSORS = 64 * 1024, 100_000, (5, 6)

#: `binary_data_size` is what KServe's client says beside raw contents, which tell it themselves
_OF_INPUTS = ("binary_data_size", "content_type", "headers")
#: what perf_analyzer sends with each request: a stream's last answer is to be marked (`api.grpc.final_response`)
FINAL_RESPONSE = "triton_enable_empty_final_response"
_OF_REQUESTS = OF_V2_REQUESTS | {FINAL_RESPONSE}


def check_fields(raw: bytes) -> None:
    """Before protobuf makes an object of each field: of two bytes one of fifty to a hundred.

    Raises:
        InvalidInput: a serialized request has more of them than any that asks for something.
    """
    if len(raw) > _LARGE:
        with contextlib.suppress(Malformed):  # protobuf says what is wrong
            _count_fields(raw, 0, len(raw), _MOST_FIELDS, _TENSORS)


def _count_fields(raw: bytes, start: int, end: int, left: int, messages: Collection[int]) -> int:
    """How many there may still be behind those of a message; `messages` are fields that are looked into."""
    for field in fields(raw, start, end):
        left -= 1
        if field.wire == BYTES and field.number in messages:
            left = _count_fields(raw, field.start, field.end, left, ())
        if left < 0:
            raise InvalidInput(f"the message has more than {_MOST_FIELDS} tensors, parameters and other fields")
    return left


def decode(request: Any, signature: Signature) -> DecodedV2Request:
    """A `ModelInferRequest` to inputs that fit the signature.

    Raises:
        InvalidInput: the client's fault, naming the field.
    """
    raws = request.raw_input_contents
    check_count(len(request.inputs), signature)
    check_few("inputs", [entry.parameters for entry in request.inputs])
    kinds = [_content_type(entry, _field(i, entry)) for i, entry in enumerate(request.inputs)]
    if raws and len(raws) != len(request.inputs):
        raise InvalidInput(f"{len(request.inputs)} inputs, but {len(raws)} raw_input_contents: send one for each")
    sent = _parameters(request, signature)
    parameters = read_parameters(sent, signature, _OF_REQUESTS)
    flag(sent, FINAL_RESPONSE, False, "parameters")
    kind = content_types.of_request(sent.get("content_type"))
    tensors = [
        _tensor(entry, raws[i] if raws else None, _field(i, entry), kinds[i] or kind)
        for i, entry in enumerate(request.inputs)
    ]
    chosen = variant(signature, parameters)
    bound = bind(tensors, chosen, kind)
    binary = flag(sent, "binary_data_output", bool(raws), "parameters")
    requested = _requested(request.outputs, binary, chosen)
    binary = all(output.binary for output in requested.values()) if requested else binary
    parameters = with_outputs(parameters, requested, signature)
    rows = rows_of(bound, chosen)
    return DecodedV2Request(bound, rows, parameters, request.id, requested, binary, batched=chosen.batched)


def encode(outputs: Tensors, call: DecodedV2Request, model: str, version: str = "") -> Any:
    """The `ModelInferResponse`: raw when the request was raw or an output is FP16, which has no typed field."""
    chosen = select(outputs, call.outputs, call.batched)
    response = pb.ModelInferResponse(model_name=model, model_version=version, id=call.id)
    raw = call.binary or any(datatype_of(array.dtype) == "FP16" for array in chosen.values())
    for name, array in chosen.items():
        datatype = datatype_of(array.dtype)
        tensor = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(to_bytes(array, datatype))
        else:
            values = texts(array) if datatype == "BYTES" else array.ravel().tolist()
            getattr(tensor.contents, CONTENTS[datatype]).extend(values)
    return response


def value_of(parameter: Any) -> Any:
    """The Python value of an `InferParameter`; None when it holds none of a kind that the protocol knows."""
    kind = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, kind) if kind else None


def _parameters(request: Any, signature: Signature) -> dict[str, Any]:
    values = _values_of(request.parameters)
    for parameter in signature.parameters:
        if values.get(parameter.name, "") is None:  # Triton's double_param, which this protocol lacks
            raise InvalidInput(
                f"parameters.{parameter.name} has no value: send bool_param, int64_param or string_param"
            )
    return values


def _field(i: int, entry: Any) -> str:
    return f"inputs[{i}] ({quoted(entry.name)})"


def _requested(outputs: Any, binary: bool, signature: Signature) -> dict[str, RequestedOutput]:
    requested: dict[str, RequestedOutput] = {}
    check_few("outputs", [entry.parameters for entry in outputs])
    for i, entry in enumerate(outputs):
        if entry.name in requested:
            raise InvalidInput(f"outputs: {quoted(entry.name)} is asked for twice")
        labels = labels_of(entry.name, signature)
        requested[entry.name] = read_output(_values_of(entry.parameters), binary, f"outputs[{i}]", labels)
    if len({output.binary for output in requested.values()}) > 1:
        raise InvalidInput("outputs: binary_data differs, but over gRPC outputs go raw or typed, all alike")
    return requested


def _content_type(entry: Any, field: str) -> str:
    """An input's only parameter."""
    parameters = _values_of(entry.parameters)
    refuse_others(f"{field}.parameters", parameters, _OF_INPUTS)
    return content_types.content_type(parameters.get("content_type"), field)


def _tensor(entry: Any, raw: bytes | None, field: str, kind: str) -> WireTensor:
    """An input from its raw data, or (None) from its contents."""
    array = _typed(entry, field) if raw is None else _raw(entry, raw, field)
    return WireTensor(entry.name, content_types.decoded(array, kind, field))


def _values_of(parameters: Any) -> dict[str, Any]:
    return {name: value_of(parameter) for name, parameter in parameters.items()}


def _raw(entry: Any, data: bytes, field: str) -> Array:
    if entry.HasField("contents"):
        raise InvalidInput(f"{field} is sent twice: as contents and as raw_input_contents")
    return from_bytes(data, entry.datatype, list(entry.shape), field)


def _typed(entry: Any, field: str) -> Array:
    dtype = dtype_of(entry.datatype, field)
    if entry.datatype not in CONTENTS:
        raise InvalidInput(f"{field}: {entry.datatype} has no typed contents, send raw_input_contents")
    for filled, _ in entry.contents.ListFields():
        if filled.name != CONTENTS[entry.datatype]:
            raise InvalidInput(f"{field}: {entry.datatype} goes in {CONTENTS[entry.datatype]}, not {filled.name}")
    values = getattr(entry.contents, CONTENTS[entry.datatype])
    array: Array = np.empty(len(values), dtype=dtype)
    try:
        array[:] = values
    except OverflowError as error:
        raise InvalidInput(f"{field}: a value is not a valid {entry.datatype}") from error
    return reshape(array, list(entry.shape), field)
