"""The services over gRPC, as descriptors: KServe's protocol and what Triton adds to it, gRPC's health and reflection.

They live in a pool of their own, since Triton's messages bear the names of KServe's in the pool that all share. What
both have is KServe's, but for loading and unloading: Triton's name of the model is field 2, KServe's is field 1, where
Triton has the repository's; the messages here are Triton's, and `triton_calls` reads either.

Sources: Triton's grpc_service.proto, model_config.proto; grpc/health/v1/health.proto;
grpc/reflection/v1/reflection.proto. Fields keep their names and numbers; messages that are nested there stand beside
the others here, and what is never sent is left away.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.api.grpc.proto_tables import add_enum, add_messages, add_methods

_TRITON = {
    "ModelRepositoryParameter": "oneof bool bool_param = 1; oneof int64 int64_param = 2; "
    "oneof string string_param = 3; oneof bytes bytes_param = 4",
    "RepositoryIndexRequest": "string repository_name = 1; bool ready = 2",
    "ModelIndex": "string name = 1; string version = 2; string state = 3; string reason = 4",
    "RepositoryIndexResponse": "repeated ModelIndex models = 1",
    "RepositoryModelLoadRequest": "string repository_name = 1; string model_name = 2; "
    "map ModelRepositoryParameter parameters = 3",
    "RepositoryModelUnloadRequest": "string repository_name = 1; string model_name = 2; "
    "map ModelRepositoryParameter parameters = 3",
    "ModelStreamInferResponse": "string error_message = 1; ModelInferResponse infer_response = 2",
    # model_config.proto
    "ModelTensorReshape": "repeated int64 shape = 1",
    "ModelInput": "string name = 1; DataType data_type = 2; repeated int64 dims = 4; "
    "ModelTensorReshape reshape = 5; bool optional = 8",
    "ModelOutput": "string name = 1; DataType data_type = 2; repeated int64 dims = 3; ModelTensorReshape reshape = 5",
    "ModelVersionPolicyAll": "",
    "ModelVersionPolicy": "ModelVersionPolicyAll all = 2",
    "ModelDynamicBatching": "repeated int32 preferred_batch_size = 1; uint64 max_queue_delay_microseconds = 2",
    "ModelTransactionPolicy": "bool decoupled = 1",
    "ModelConfig": "string name = 1; string platform = 2; ModelVersionPolicy version_policy = 3; "
    "int32 max_batch_size = 4; repeated ModelInput input = 5; repeated ModelOutput output = 6; "
    "ModelDynamicBatching dynamic_batching = 11; string backend = 17; "
    "ModelTransactionPolicy model_transaction_policy = 19",
    "ModelConfigRequest": "string name = 1; string version = 2",
    "ModelConfigResponse": "ModelConfig config = 1",
    # statistics
    "StatisticDuration": "uint64 count = 1; uint64 ns = 2",
    "InferStatistics": "StatisticDuration success = 1; StatisticDuration fail = 2; StatisticDuration queue = 3; "
    "StatisticDuration compute_input = 4; StatisticDuration compute_infer = 5; StatisticDuration compute_output = 6; "
    "StatisticDuration cache_hit = 7; StatisticDuration cache_miss = 8",
    "InferBatchStatistics": "uint64 batch_size = 1; StatisticDuration compute_input = 2; "
    "StatisticDuration compute_infer = 3; StatisticDuration compute_output = 4",
    "ModelStatistics": "string name = 1; string version = 2; uint64 last_inference = 3; uint64 inference_count = 4; "
    "uint64 execution_count = 5; InferStatistics inference_stats = 6; repeated InferBatchStatistics batch_stats = 7",
    "ModelStatisticsRequest": "string name = 1; string version = 2",
    "ModelStatisticsResponse": "repeated ModelStatistics model_stats = 1",
    # trace, logging
    "TraceSettingValue": "repeated string value = 1",
    "TraceSettingRequest": "map TraceSettingValue settings = 1; string model_name = 2",
    "TraceSettingResponse": "map TraceSettingValue settings = 1",
    "LogSettingValue": "oneof bool bool_param = 1; oneof uint32 uint32_param = 2; oneof string string_param = 3",
    "LogSettingsRequest": "map LogSettingValue settings = 1",
    "LogSettingsResponse": "map LogSettingValue settings = 1",
    # shared memory, which is refused: what is asked is not read
    "SharedMemoryRequest": "string name = 1",
    "SharedMemoryResponse": "",
}
_DATA_TYPES = (
    *("INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "STRING", "BF16"),
)

#: the methods that carry the load
INFER, STREAM = "ModelInfer", "ModelStreamInfer"

#: methods that ask for a region of memory that client and server share
SHARED_MEMORY = tuple(
    f"{kind}SharedMemory{verb}" for kind in ("System", "Cuda") for verb in ("Status", "Register", "Unregister")
)

#: Triton's methods that KServe's definition of the service lacks: what they take and give
_METHODS = {
    STREAM: "stream ModelInferRequest -> stream ModelStreamInferResponse",
    **{name: f"{name}Request -> {name}Response" for name in ("ModelConfig", "ModelStatistics", "RepositoryIndex")},
    **{name: f"{name}Request -> {name}Response" for name in ("TraceSetting", "LogSettings")},
    **dict.fromkeys(SHARED_MEMORY, "SharedMemoryRequest -> SharedMemoryResponse"),
}

_HEALTH = {
    "HealthCheckRequest": "string service = 1",
    "HealthCheckResponse": "ServingStatus status = 1",
}
_REFLECTION = {
    "ExtensionRequest": "string containing_type = 1; int32 extension_number = 2",
    "ServerReflectionRequest": "string host = 1; oneof string file_by_filename = 3; "
    "oneof string file_containing_symbol = 4; oneof ExtensionRequest file_containing_extension = 5; "
    "oneof string all_extension_numbers_of_type = 6; oneof string list_services = 7",
    "FileDescriptorResponse": "repeated bytes file_descriptor_proto = 1",
    "ExtensionNumberResponse": "string base_type_name = 1; repeated int32 extension_number = 2",
    "ServiceResponse": "string name = 1",
    "ListServiceResponse": "repeated ServiceResponse service = 1",
    "ErrorResponse": "int32 error_code = 1; string error_message = 2",
    "ServerReflectionResponse": "string valid_host = 1; ServerReflectionRequest original_request = 2; "
    "oneof FileDescriptorResponse file_descriptor_response = 4; "
    "oneof ExtensionNumberResponse all_extension_numbers_response = 5; "
    "oneof ListServiceResponse list_services_response = 6; oneof ErrorResponse error_response = 7",
}


def _inference() -> FileDescriptorProto:
    """KServe's file, and Triton's messages and methods in it."""
    file = FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(file)
    for message in [each for each in file.message_type if each.name in _TRITON]:
        file.message_type.remove(message)
    add_enum(file, "DataType", [f"TYPE_{name}" for name in _DATA_TYPES])
    add_messages(file, _TRITON, {"DataType"})
    add_methods(file, file.service[0].name, _METHODS)
    return file


def _health() -> FileDescriptorProto:
    file = FileDescriptorProto(name="grpc/health/v1/health.proto", package="grpc.health.v1", syntax="proto3")
    add_enum(file, "ServingStatus", ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"])
    add_messages(file, _HEALTH, {"ServingStatus"})
    check = "HealthCheckRequest -> {}HealthCheckResponse"
    add_methods(file, "Health", {"Check": check.format(""), "Watch": check.format("stream ")})
    return file


def _reflection(version: str) -> FileDescriptorProto:
    package = f"grpc.reflection.{version}"
    file = FileDescriptorProto(name=f"grpc/reflection/{version}/reflection.proto", package=package, syntax="proto3")
    add_messages(file, _REFLECTION)
    info = "stream ServerReflectionRequest -> stream ServerReflectionResponse"
    add_methods(file, "ServerReflection", {"ServerReflectionInfo": info})
    return file


#: by name
FILES = {file.name: file for file in (_inference(), _health(), _reflection("v1"), _reflection("v1alpha"))}
POOL = DescriptorPool()
for _file in FILES.values():
    POOL.AddSerializedFile(_file.SerializeToString())

SERVICE: Any = POOL.FindServiceByName("inference.GRPCInferenceService")
HEALTH: Any = POOL.FindServiceByName("grpc.health.v1.Health")
REFLECTIONS: list[Any] = [
    POOL.FindServiceByName(f"grpc.reflection.{version}.ServerReflection") for version in ("v1", "v1alpha")
]


def message_type(name: str) -> Any:
    """The class of a message of `SERVICE`'s package, by its short name; KServe's own where Triton has no other."""
    if name not in _TRITON and (known := getattr(pb, name, None)) is not None:
        return known
    return message_class(POOL.FindMessageTypeByName(f"{SERVICE.file.package}.{name}"))


def message_class(descriptor: Any) -> Any:
    """The class of a message."""
    return GetMessageClass(descriptor)
