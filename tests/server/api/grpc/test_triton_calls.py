"""Triton's methods beside the protocol's, in messages that its clients read."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from server.api.grpc.protos import SHARED_MEMORY, message_type
from server.api.grpc.service import InferenceService
from server.api.grpc.small_messages import MOST
from server.api.grpc.triton_calls import asked_model
from server.errors import InvalidInput, NotSupported
from server.repository.repository import Repository
from tests.server.api.conftest import predict
from tests.server.api.grpc.calling import call

#: both fronts answer alike
pytestmark = pytest.mark.usefixtures("front")


def ask(models: Repository, method: str, **fields: Any) -> Any:
    request = message_type(f"{method}Request")(**fields)
    return call(
        InferenceService(models), f"inference.GRPCInferenceService/{method}", request, message_type(f"{method}Response")
    )


def test_the_index(models: Repository) -> None:
    known = {(each.name, each.version): (each.state, each.reason) for each in ask(models, "RepositoryIndex").models}
    assert known["many", "2"] == known["plain", ""] == ("READY", "")
    assert known["bad", ""] == ("UNAVAILABLE", "model.echo is refused")
    assert {each.name for each in ask(models, "RepositoryIndex", ready=True).models} == {"many", "plain"}
    code, text = ask(models, "RepositoryIndex", repository_name="other")
    assert (code, "leave repository_name empty" in text) == ("INVALID_ARGUMENT", True)


@pytest.mark.parametrize("version", ["", "1", "old"])
def test_the_configuration(models: Repository, version: str) -> None:
    config = ask(models, "ModelConfig", name="many", version=version).config
    assert (config.name, config.backend, config.max_batch_size) == ("many", "echo", 0)
    assert list(config.output[0].dims) == [-1, 2]
    assert ask(models, "ModelConfig", name="many", version="7")[0] == "NOT_FOUND"
    assert ask(models, "ModelConfig", name="bad")[0] == "UNAVAILABLE"


def test_the_statistics_are_asked_of_all_processes_first(models: Repository) -> None:
    refreshed: list[int] = []

    async def refresh() -> None:
        refreshed.append(1)

    predict(models, "many", "1")
    service = InferenceService(models, refresh=refresh)
    request = message_type("ModelStatisticsRequest")(name="many", version="1")
    answer = message_type("ModelStatisticsResponse")
    (entry,) = call(service, "inference.GRPCInferenceService/ModelStatistics", request, answer).model_stats
    assert (entry.name, entry.version, entry.inference_count) == ("many", "1", 2)
    assert entry.inference_stats.success.count == 1
    assert refreshed == [1]
    assert len(ask(models, "ModelStatistics").model_stats) == 4


@pytest.mark.parametrize(
    ("raw", "code", "told"),
    [
        (b"\x0aonnx", "INVALID_ARGUMENT", "is no LogSettingsRequest"),
        (bytes(MOST + 1), "RESOURCE_EXHAUSTED", "are taken"),
    ],
)
def test_a_message_that_is_none_or_huge_is_the_client_s_fault(
    models: Repository, caplog: pytest.LogCaptureFixture, raw: bytes, code: str, told: str
) -> None:
    """It was UNKNOWN, with a stack trace in the log; and a gigabyte of memory before a key was asked for."""

    class Raw:
        def SerializeToString(self) -> bytes:
            return raw

    status, text = call(InferenceService(models), "inference.GRPCInferenceService/LogSettings", Raw())
    assert status == code
    assert told in text
    assert "Traceback" not in caplog.text


def test_trace_and_log_settings(models: Repository) -> None:
    assert list(ask(models, "TraceSetting").settings["trace_level"].value) == ["OFF"]
    same = {"trace_level": {"value": ["OFF"]}, "trace_rate": {"value": ["1000"]}, "trace_count": {}}
    assert list(ask(models, "TraceSetting", settings=same).settings["trace_rate"].value) == ["1000"]
    assert ask(models, "TraceSetting", settings={"trace_rate": {"value": ["1"]}})[0] == "UNIMPLEMENTED"
    assert ask(models, "TraceSetting", model_name="nobody")[0] == "NOT_FOUND"
    level = int(logging.getLogger("kserve").getEffectiveLevel() <= logging.DEBUG)
    known = ask(models, "LogSettings", settings={"log_verbose_level": {"uint32_param": level}}).settings
    assert known["log_error"].bool_param is True
    assert ask(models, "LogSettings", settings={"log_file": {"string_param": "f"}})[0] == "UNIMPLEMENTED"


@pytest.mark.parametrize("method", SHARED_MEMORY)
def test_shared_memory_is_refused_by_name(models: Repository, method: str) -> None:
    request = message_type("SharedMemoryRequest")(name="r")
    code, text = call(InferenceService(models), f"inference.GRPCInferenceService/{method}", request)
    assert code == "UNIMPLEMENTED"
    assert text.startswith(f"{method}: shared memory is not served")


def test_a_model_is_named_by_either_protocol() -> None:
    load = message_type("RepositoryModelLoadRequest")
    kserve, triton = load(repository_name="m"), load(model_name="m")
    assert asked_model(kserve) == asked_model(triton) == "m"
    assert asked_model(load(model_name="m", parameters={"unload_dependents": {"bool_param": False}})) == "m"
    with pytest.raises(InvalidInput, match="no repository 'r'"):
        asked_model(load(repository_name="r", model_name="m"))
    with pytest.raises(NotSupported, match="'config'"):
        asked_model(load(model_name="m", parameters={"config": {"string_param": "{}"}}))
