"""gRPC's reflection: grpcurl, Postman and evans ask which services there are and what their messages look like.

Source: grpc/reflection/v1/reflection.proto, and v1alpha's, which is the same under another name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from server.api.grpc.protos import FILES, HEALTH, POOL, REFLECTIONS, SERVICE, message_class
from server.api.grpc.small_messages import reader

_NOT_FOUND, _INVALID = grpc.StatusCode.NOT_FOUND.value[0], grpc.StatusCode.INVALID_ARGUMENT.value[0]


def reflection_handlers() -> list[grpc.GenericRpcHandler[Any, Any]]:
    """The service in both of its versions, for a server."""
    return [_handler(service) for service in REFLECTIONS]


def _handler(service: Any) -> grpc.GenericRpcHandler[Any, Any]:
    method = service.methods_by_name["ServerReflectionInfo"]
    request_class, response_class = message_class(method.input_type), message_class(method.output_type)

    async def info(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield response_class(valid_host=request.host, original_request=request, **_answer(request))

    handler = grpc.stream_stream_rpc_method_handler(info, reader(request_class), response_class.SerializeToString)
    return grpc.method_handlers_generic_handler(service.full_name, {method.name: handler})


def _answer(request: Any) -> dict[str, Any]:
    """The field of the response that answers, as plain values."""
    kind = request.WhichOneof("choice")
    if kind == "list_services":
        names = [SERVICE.full_name, HEALTH.full_name, *(each.full_name for each in REFLECTIONS)]
        return {"list_services_response": {"service": [{"name": name} for name in names]}}
    if kind == "file_by_filename":
        return _file(FILES.get(request.file_by_filename), request.file_by_filename)
    if kind == "file_containing_symbol":
        return _file(_file_of(request.file_containing_symbol), request.file_containing_symbol)
    if kind == "file_containing_extension":
        return _error(_NOT_FOUND, f"no message here is extended: {request.file_containing_extension.containing_type}")
    if kind == "all_extension_numbers_of_type":
        return _error(_NOT_FOUND, f"no message here is extended: {request.all_extension_numbers_of_type}")
    return _error(_INVALID, "the request asks for nothing")


def _file_of(symbol: str) -> FileDescriptorProto | None:
    """The file that holds a service, a method, a message or an enumeration; a leading dot is protobuf's own."""
    name = symbol.removeprefix(".")
    for known in (name, name.rpartition(".")[0]):  # a method is not looked up by itself: its service is
        try:
            return FILES[POOL.FindFileContainingSymbol(known).name]
        except KeyError:
            continue
    return None


def _file(file: FileDescriptorProto | None, asked: str) -> dict[str, Any]:
    if file is None:
        return _error(_NOT_FOUND, f"there is no {asked!r}")
    return {"file_descriptor_response": {"file_descriptor_proto": [file.SerializeToString()]}}


def _error(code: int, text: str) -> dict[str, Any]:
    return {"error_response": {"error_code": code, "error_message": text}}
