"""A ModelInfer call of gRPC, given and answered as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.cli.main import Failure
from server.cli.screen import plain

_TIMEOUT = 120.0  #: seconds


def infer(address: str, request: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """The answer of the server at this address, as the JSON of a ModelInferResponse.

    Raises:
        Failure: it refuses the request, or there is none.
    """
    from server.api.kserve.argv import arguments
    from server.config.settings import Settings

    with arguments(Settings()):  # KServe, whose messages these are, reads the command line
        import grpc
        from google.protobuf.json_format import MessageToDict, ParseDict
        from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest
        from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

    message = ParseDict(dict(request), ModelInferRequest())
    metadata = [(name.lower(), value) for name, value in headers.items()]
    with grpc.insecure_channel(address) as channel:
        try:
            answer = GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=_TIMEOUT, metadata=metadata)
        except grpc.RpcError as error:
            raise Failure(_reason(address, error.code().name, error.details())) from error
    told: dict[str, Any] = MessageToDict(answer, preserving_proto_field_name=True)
    return told


def _reason(address: str, code: str, details: str | None) -> str:
    if code == "UNAVAILABLE":
        return f"nothing answers gRPC at {address}: name the server's port by --grpc-port (REST has another, --url)"
    return f"the server answers {code}: {plain(details)}"
