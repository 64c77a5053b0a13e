"""What grpcurl asks: the services, and the files that describe a symbol; in both versions of the protocol."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from server.api.grpc.protos import REFLECTIONS, message_class
from server.api.grpc.service import InferenceService
from server.repository.repository import Repository
from tests.server.api.grpc.calling import call_with

#: both fronts answer alike
pytestmark = pytest.mark.usefixtures("front")


def ask(models: Repository, service: Any, *asked: dict[str, Any]) -> list[Any]:
    method = service.methods_by_name["ServerReflectionInfo"]
    request, response = message_class(method.input_type), message_class(method.output_type)

    async def talk(channel: Any) -> list[Any]:
        info = channel.stream_stream(
            f"/{service.full_name}/ServerReflectionInfo",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return [answer async for answer in info(request(**each) for each in asked)]

    answers: list[Any] = call_with(InferenceService(models), talk)
    return answers


@pytest.mark.parametrize("service", REFLECTIONS, ids=lambda each: each.full_name)
def test_the_services_are_listed(models: Repository, service: Any) -> None:
    (answer,) = ask(models, service, {"list_services": ""})
    names = [each.name for each in answer.list_services_response.service]
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health", service.full_name} <= set(names)


INFERENCE = "grpc_predict_v2.proto"
SYMBOLS = {
    "inference.GRPCInferenceService": INFERENCE,
    "inference.GRPCInferenceService.ModelInfer": INFERENCE,
    "inference.ModelInferRequest": INFERENCE,
    ".inference.ModelConfig": INFERENCE,
    "inference.DataType": INFERENCE,
    "grpc.health.v1.Health": "grpc/health/v1/health.proto",
    "grpc.reflection.v1.ServerReflection": "grpc/reflection/v1/reflection.proto",
}


def test_a_symbol_is_described_by_its_file(models: Repository) -> None:
    answers = ask(models, REFLECTIONS[0], *({"file_containing_symbol": symbol} for symbol in SYMBOLS))
    described = [
        FileDescriptorProto.FromString(*each.file_descriptor_response.file_descriptor_proto) for each in answers
    ]
    assert [file.name for file in described] == list(SYMBOLS.values())
    pool = DescriptorPool()
    pool.AddSerializedFile(described[0].SerializeToString())
    assert len(pool.FindServiceByName("inference.GRPCInferenceService").methods) == 20


def test_what_is_not_there_is_an_error_and_ends_nothing(models: Repository) -> None:
    asked: list[dict[str, Any]] = [
        {"file_containing_symbol": "nobody.Knows"},
        {"file_by_filename": "nobody.proto"},
        {"file_containing_extension": {"containing_type": "inference.ModelConfig", "extension_number": 1}},
        {"all_extension_numbers_of_type": "inference.ModelConfig"},
        {},
        {"file_by_filename": "grpc/health/v1/health.proto"},
    ]
    *refused, last = ask(models, REFLECTIONS[1], *asked)
    assert [answer.error_response.error_code for answer in refused] == [5, 5, 5, 5, 3]
    assert last.file_descriptor_response.file_descriptor_proto
    assert last.original_request.file_by_filename == "grpc/health/v1/health.proto"
