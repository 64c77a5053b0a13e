"""The protocol's own methods: versions, and models that are named as KServe or as Triton names them."""

from __future__ import annotations

from typing import Any

import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.api.grpc.protos import message_type
from server.api.grpc.service import InferenceService
from server.repository.repository import Repository
from tests.server.api.grpc.calling import call

#: both fronts answer alike
pytestmark = pytest.mark.usefixtures("front")

PREFIX = "inference.GRPCInferenceService"


def ask(models: Repository, method: str, request: Any) -> Any:
    return call(InferenceService(models), f"{PREFIX}/{method}", request, message_type(f"{method}Response"))


@pytest.mark.parametrize("made", [pb.RepositoryModelLoadRequest, message_type("RepositoryModelLoadRequest")])
def test_both_clients_load_and_unload(models: Repository, made: Any) -> None:
    models.unload("plain")
    assert not models.is_ready("plain")
    answer = ask(models, "RepositoryModelLoad", made(model_name="plain"))
    assert (answer.model_name, answer.isLoaded) == ("plain", True)
    assert models.is_ready("plain")
    assert ask(models, "RepositoryModelUnload", made(model_name="plain")).isUnloaded
    assert not models.is_ready("plain")
    assert ask(models, "RepositoryModelLoad", made(model_name="nobody"))[0] == "NOT_FOUND"


@pytest.mark.parametrize(("version", "ready"), [("", True), ("1", True), ("2", "NOT_FOUND")])
def test_a_folder_without_versions_is_version_1(models: Repository, version: str, ready: Any) -> None:
    answer = ask(models, "ModelReady", pb.ModelReadyRequest(name="plain", version=version))
    assert ready == (answer[0] if isinstance(answer, tuple) else answer.ready)
    metadata = ask(models, "ModelMetadata", pb.ModelMetadataRequest(name="plain", version=version))
    if ready is True:
        assert list(metadata.versions) == ["1"]
    else:
        assert metadata == ("NOT_FOUND", "model 'plain' has no version '2'; it has 1")


def test_the_server(models: Repository) -> None:
    assert ask(models, "ServerLive", pb.ServerLiveRequest()).live
    assert ask(models, "ServerReady", pb.ServerReadyRequest()).ready
    assert "statistics" in ask(models, "ServerMetadata", pb.ServerMetadataRequest()).extensions
