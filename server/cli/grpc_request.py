"""A ModelInfer call of gRPC, given and answered as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.cli.main import Failure
from server.cli.screen import plain
from server.cli.tls_files import TlsFiles

METHOD = "/inference.GRPCInferenceService/ModelInfer"
TIMEOUT = 120.0  #: seconds


def message_of(request: Mapping[str, Any]) -> Any:
    """A ModelInferRequest of its JSON.

    Raises:
        Failure: it is none.
    """
    from server.api.kserve.argv import arguments
    from server.config.settings import Settings

    with arguments(Settings()):  # KServe, whose messages these are, reads the command line
        from google.protobuf.json_format import ParseDict, ParseError
        from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest

    try:
        return ParseDict(dict(request), ModelInferRequest())
    except ParseError as error:
        raise Failure(f"gRPC has no such message: {plain(error)}") from error


def metadata_of(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Headers as gRPC sends them."""
    return [(name.lower(), value) for name, value in headers.items()]


def credentials_of(tls: TlsFiles) -> Any:
    """Certificates as gRPC takes them: their bytes."""
    import grpc

    ca, cert, key = (path and path.read_bytes() for path in (tls.ca, tls.cert, tls.key or tls.cert))
    return grpc.ssl_channel_credentials(ca, key, cert)


def infer(
    address: str, request: Mapping[str, Any], headers: Mapping[str, str], tls: TlsFiles | None = None
) -> dict[str, Any]:
    """The answer of the server at this address, as V2 has it in JSON; over TLS where `tls` is given.

    Raises:
        Failure: it refuses the request, or there is none.
    """
    message = message_of(request)
    import grpc
    import orjson
    from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

    channel = grpc.insecure_channel(address) if tls is None else grpc.secure_channel(address, credentials_of(tls))
    with channel:
        try:
            call = GRPCInferenceServiceStub(channel).ModelInfer
            answer = call(message, timeout=TIMEOUT, metadata=metadata_of(headers))
        except grpc.RpcError as error:
            raise Failure(_reason(address, error.code().name, error.details())) from error
    from server.codec.grpc_json import response_json

    told: dict[str, Any] = orjson.loads(response_json(answer.SerializeToString()))
    return told


def _reason(address: str, code: str, details: str | None) -> str:
    if code == "UNAVAILABLE":
        return f"nothing answers gRPC at {address}: name the server's port by --grpc-port (REST has another, --url)"
    return f"the server answers {code}: {plain(details)}"
