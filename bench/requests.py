"""A request's bytes, made once: the load generators send the same ones over and over."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import orjson

from bench.models import Array

INPUT = "input-0"
GRPC_METHOD = "/inference.GRPCInferenceService/ModelInfer"
JSON_LENGTH = "Inference-Header-Content-Length"
_DATATYPES = {"float64": "FP64", "float32": "FP32", "object": "BYTES"}


class Protocol(StrEnum):
    """What a request is written in."""

    V1 = "v1"
    V2 = "v2"
    V2_BINARY = "v2-binary"
    GRPC = "grpc"


@dataclass(frozen=True)
class Request:
    """One request. On gRPC `body` is the bare message, without the five bytes that go before it in a frame."""

    protocol: Protocol
    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def messages() -> Any:
    """The messages of the gRPC protocol; KServe's, as its import takes a second, not before they are needed."""
    from kserve.protocol.grpc import grpc_predict_v2_pb2

    return grpc_predict_v2_pb2


def request(protocol: Protocol, model: str, inputs: Array) -> Request:
    """The request that asks `model` about `inputs`: numbers [n, features] or texts [n]."""
    json = {"Content-Type": "application/json"}
    match protocol:
        case Protocol.V1:
            return Request(protocol, f"/v1/models/{model}:predict", _dump({"instances": inputs.tolist()}), json)
        case Protocol.V2:
            tensor = {**_tensor(inputs), "data": inputs.ravel().tolist()}
            return Request(protocol, f"/v2/models/{model}/infer", _dump({"inputs": [tensor]}), json)
        case Protocol.V2_BINARY:
            return _binary(model, inputs)
        case Protocol.GRPC:
            tensor = messages().ModelInferRequest.InferInputTensor(**_tensor(inputs))
            message = messages().ModelInferRequest(model_name=model, inputs=[tensor], raw_input_contents=[_raw(inputs)])
            return Request(protocol, GRPC_METHOD, message.SerializeToString())


def _binary(model: str, inputs: Array) -> Request:
    """The binary tensor extension, for the inputs and the outputs, as tritonclient writes it."""
    raw = _raw(inputs)
    tensor = {**_tensor(inputs), "parameters": {"binary_data_size": len(raw)}}
    head = _dump({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(head))}
    return Request(Protocol.V2_BINARY, f"/v2/models/{model}/infer", head + raw, headers)


def _tensor(inputs: Array) -> dict[str, Any]:
    shape = list(inputs.shape) if inputs.ndim > 1 else [len(inputs), 1]  # of texts: Triton batches rows of one text
    return {"name": INPUT, "shape": shape, "datatype": _DATATYPES[str(inputs.dtype)]}


def _raw(inputs: Array) -> bytes:
    """Little-endian numbers, or texts behind their lengths."""
    if inputs.dtype != np.object_:
        return inputs.astype(inputs.dtype.newbyteorder("<")).tobytes()
    texts = [str(text).encode() for text in inputs]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _dump(value: Any) -> bytes:
    return orjson.dumps(value)
