"""The messages have Triton's names, numbers and types, as its own client has them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.api.grpc.protos import FILES, POOL, SERVICE, SHARED_MEMORY, message_type

#: messages that stand within others in Triton's files, or that several of its messages are one of here
ELSEWHERE = {
    "ModelIndex": "RepositoryIndexResponse.ModelIndex",
    "TraceSettingValue": "TraceSettingRequest.SettingValue",
    "LogSettingValue": "LogSettingsRequest.SettingValue",
    "ModelVersionPolicyAll": "ModelVersionPolicy.All",
    "SharedMemoryRequest": "SystemSharedMemoryStatusRequest",
    "SharedMemoryResponse": "SystemSharedMemoryRegisterResponse",
}


@pytest.fixture(scope="module")
def triton() -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.server.api.grpc.triton_shapes"]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    shapes: dict[str, Any] = json.loads(printed)
    return shapes


def test_what_is_added_is_tritons(triton: dict[str, Any]) -> None:
    kserves = set(pb.DESCRIPTOR.message_types_by_name) - {"RepositoryModelLoadRequest", "RepositoryModelUnloadRequest"}
    file = POOL.FindFileByName("grpc_predict_v2.proto")
    ours = {name: each for name, each in file.message_types_by_name.items() if name not in kserves}
    assert len(ours) > 25
    for name, descriptor in ours.items():
        theirs = triton["messages"][ELSEWHERE.get(name, name)]
        for field in descriptor.fields:
            assert theirs[field.name] == [field.number, field.type, bool(field.is_repeated)], f"{name}.{field.name}"


def test_the_methods_are_tritons_all_of_them(triton: dict[str, Any]) -> None:
    assert {each.name: [each.client_streaming, each.server_streaming] for each in SERVICE.methods} == triton["methods"]
    assert set(SHARED_MEMORY) <= triton["methods"].keys()
    ours = POOL.FindEnumTypeByName("inference.DataType")
    assert [[value.name, value.number] for value in ours.values] == triton["types"]


def test_what_both_have_is_kserves() -> None:
    assert message_type("ModelInferRequest") is pb.ModelInferRequest
    load = message_type("RepositoryModelLoadRequest")
    kserves = pb.RepositoryModelLoadRequest(model_name="m").SerializeToString()
    assert load.FromString(kserves).repository_name == "m"
    assert set(FILES) >= {"grpc/health/v1/health.proto", "grpc/reflection/v1alpha/reflection.proto"}
