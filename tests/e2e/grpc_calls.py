"""A corpus of gRPC calls of a server's own methods, by grpcio's client: what each came to, in a form to be compared."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import json_format
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.api.grpc.protos import HEALTH, REFLECTIONS, SERVICE, message_class, message_type

SERVICE_PATH = "/inference.GRPCInferenceService"
#: what differs from call to call, or from server to server
_OF_THE_MOMENT = re.compile(r'"(?:id|ns|last_inference|count|inference_count|execution_count)": "?[^,}"]*"?')


@dataclass(frozen=True)
class GrpcCase:
    """One call."""

    path: str
    messages: Sequence[Any]
    answer: Any  #: the class of answers
    stream: bool = False
    metadata: Sequence[tuple[str, str]] = ()
    timeout: float = 60
    compression: grpc.Compression | None = None
    loose: bool = False  #: numbers of the answers are a server's own


@dataclass
class Outcome:
    """How it ended; `answers` are JSON."""

    code: str
    details: str
    answers: list[str] = field(default_factory=list)
    initial: list[tuple[str, str]] = field(default_factory=list)
    trailing: list[tuple[str, str]] = field(default_factory=list)


def infer(model: str, rows: Any, version: str = "", name: str = "x", datatype: str = "FP64", **more: Any) -> Any:
    tensor = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=[len(rows), len(rows[0])])
    tensor.contents.fp64_contents.extend(float(cell) for row in rows for cell in row)
    return pb.ModelInferRequest(model_name=model, model_version=version, inputs=[tensor], **more)


def method(name: str) -> tuple[str, Any, Any]:
    """The path of one of the service's methods, and its messages."""
    found = SERVICE.methods_by_name[name]
    return f"{SERVICE_PATH}/{name}", message_type(found.input_type.name), message_type(found.output_type.name)


def unary(called: str, /, loose: bool = False, **fields: Any) -> GrpcCase:
    path, request, answer = method(called)
    return GrpcCase(path, [request(**fields)], answer, loose=loose)


def inference(message: Any, **how: Any) -> GrpcCase:
    return GrpcCase(f"{SERVICE_PATH}/ModelInfer", [message], pb.ModelInferResponse, **how)


def outcomes(address: str, cases: dict[str, GrpcCase]) -> dict[str, Outcome]:
    """What each came to, one after another, on one connection."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        return {name: _outcome(channel, case) for name, case in cases.items()}


def _outcome(channel: grpc.Channel, case: GrpcCase) -> Outcome:
    how = {"metadata": case.metadata, "timeout": case.timeout, "compression": case.compression}
    callable_ = channel.stream_stream(
        case.path, lambda each: each if isinstance(each, bytes) else each.SerializeToString(), case.answer.FromString
    )
    call = callable_(iter(case.messages), **how)  # a unary method is asked the same way on the wire
    answers: list[str] = []
    with contextlib.suppress(grpc.RpcError):  # the status tells
        answers.extend(_shown(each, case.loose) for each in call)
    if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED:  # whose clock was first is the moment's
        return Outcome(call.code().name, "")
    return Outcome(call.code().name, _plain(call.details()), answers, _pairs(call.initial_metadata()),
                   _pairs(call.trailing_metadata()))  # fmt: skip


def _pairs(metadata: Any) -> list[tuple[str, str]]:
    return sorted((str(key), str(value)) for key, value in metadata or ())


def _plain(details: str | None) -> str:
    return re.sub(r"\d+\.\d+ s", "… s", details or "")


def _shown(message: Any, loose: bool) -> str:
    text = json_format.MessageToJson(message, indent=None, sort_keys=True, preserving_proto_field_name=True)
    return _OF_THE_MOMENT.sub("", text) if loose else text


def reflected() -> Iterator[tuple[str, GrpcCase]]:
    """What grpcurl asks, in both versions of its protocol."""
    for service in REFLECTIONS:
        found = service.methods_by_name["ServerReflectionInfo"]
        request, answer = message_class(found.input_type), message_class(found.output_type)
        asked = [
            request(list_services=""),
            request(file_containing_symbol=SERVICE.full_name),
            request(file_containing_symbol="no.such.Thing"),
            request(file_by_filename="nothing.proto"),
        ]
        yield service.full_name, GrpcCase(f"/{service.full_name}/ServerReflectionInfo", asked, answer, stream=True)


def health(**fields: Any) -> GrpcCase:
    check = HEALTH.methods_by_name["Check"]
    request, answer = message_class(check.input_type), message_class(check.output_type)
    return GrpcCase(f"/{HEALTH.full_name}/Check", [request(**fields)], answer)
