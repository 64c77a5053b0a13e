"""Is it the right answer? An answer's bytes are decoded and compared with the framework's own, exactly."""

from __future__ import annotations

import contextlib
import http.client
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import orjson
from google.protobuf.message import DecodeError

from bench.making import Sample
from bench.requests import GRPC_METHOD, JSON_LENGTH, Protocol, Request, messages

TIMEOUT_SECONDS = 120
_DTYPES = {
    "BOOL": "?", "INT8": "i1", "INT16": "i2", "INT32": "i4", "INT64": "i8", "UINT8": "u1", "UINT16": "u2",
    "UINT32": "u4", "UINT64": "u8", "FP16": "f2", "FP32": "f4", "FP64": "f8",
}  # fmt: skip


class WrongAnswer(Exception):
    """A system did not answer as the framework does."""


@dataclass(frozen=True)
class Answer:
    """An answer's bytes; on gRPC `body` is the bare message."""

    body: bytes
    headers: Mapping[str, str]


def ask(request: Request, http_port: int, grpc_port: int) -> Answer:
    """Send one request.

    Raises:
        WrongAnswer: the system refused it.
    """
    if request.protocol is Protocol.GRPC:
        return _ask_grpc(request, grpc_port)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", http_port, timeout=TIMEOUT_SECONDS)) as connection:
        return exchange(connection, request)


def exchange(connection: http.client.HTTPConnection, request: Request) -> Answer:
    """Send one request on a connection that may be used again.

    Raises:
        WrongAnswer: the system refused it, or the connection broke.
    """
    try:
        connection.request("POST", request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise WrongAnswer(f"{request.path}: {error}") from error
    if response.status != 200:
        raise WrongAnswer(f"{request.path} answered {response.status}: {body[:300].decode(errors='replace')}")
    return Answer(body, {name.lower(): value for name, value in response.getheaders()})


def _ask_grpc(request: Request, port: int) -> Answer:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            return Answer(channel.unary_unary(GRPC_METHOD)(request.body, timeout=TIMEOUT_SECONDS), {})
        except grpc.RpcError as error:
            raise WrongAnswer(f"{GRPC_METHOD}: {error.details()}") from error


def check(protocol: Protocol, answer: Answer, expected: Sample) -> None:
    """Compare an answer with the framework's.

    Raises:
        WrongAnswer: it differs, or it cannot be read.
    """
    try:
        found = predictions(protocol, answer)
        same = _same(found, expected)
    except (ValueError, KeyError, TypeError, IndexError, StopIteration, DecodeError, struct.error) as error:
        raise WrongAnswer(f"{type(error).__name__} ({error}) in reading {answer.body[:300]!r}") from error
    if not same:
        raise WrongAnswer(f"expected {str(expected.predictions)[:300]}, found {str(found)[:300]}")


def predictions(protocol: Protocol, answer: Answer) -> list[Any]:
    """The predictions of an answer; of V2's outputs the first."""
    match protocol:
        case Protocol.V1:
            body = orjson.loads(answer.body)
            return list(body if isinstance(body, list) else body["predictions"])  # BentoML has no other way to batch
        case Protocol.V2 | Protocol.V2_BINARY:
            length = int(answer.headers.get(JSON_LENGTH.lower(), len(answer.body)))
            output = orjson.loads(answer.body[:length])["outputs"][0]
            raw = answer.body[length:] if "data" not in output else None
            return _elements(output["datatype"], raw, output.get("data"))
        case Protocol.GRPC:
            return _from_message(messages().ModelInferResponse.FromString(answer.body))


def _from_message(message: Any) -> list[Any]:
    output = message.outputs[0]
    if message.raw_output_contents:
        return _elements(output.datatype, message.raw_output_contents[0], None)
    contents = next(list(values) for _, values in output.contents.ListFields())
    return _elements(output.datatype, None, contents)


def _elements(datatype: str, raw: bytes | None, data: Any) -> list[Any]:
    """A tensor's elements, flat; BYTES elements are JSON text here."""
    if datatype == "BYTES":
        return [orjson.loads(item) for item in (data if raw is None else _split(raw))]
    found = np.asarray(data) if raw is None else np.frombuffer(raw, dtype="<" + _DTYPES[datatype])
    return list(found.ravel().tolist())


def _split(raw: bytes) -> list[bytes]:
    items, at = [], 0
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at)
        items.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return items


def _same(found: list[Any], expected: Sample) -> bool:
    if expected.dtype in ("", "object"):
        return found in (expected.predictions, [_only(each) for each in expected.predictions])
    # JSON writes a float32 as a decimal that need not be its float64 neighbour: compare in the model's own type
    left, right = (np.asarray(values, dtype=expected.dtype).ravel() for values in (found, expected.predictions))
    return bool(np.array_equal(left, right))


def _only(prediction: Any) -> Any:
    """V1 answers {"entities": [...]}; on V2 the output is called entities and holds the list."""
    return next(iter(prediction.values())) if isinstance(prediction, dict) and len(prediction) == 1 else prediction
