"""Triton's methods beside the protocol's: what `server.api.triton` tells, in its messages; shared memory is refused."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import ParseDict

from server.api.grpc.protos import POOL, SHARED_MEMORY, message_type
from server.api.grpc.statuses import with_status
from server.api.lookup import Refresh, nothing_new
from server.api.triton.configuration import model_config
from server.api.triton.loading_options import check_options
from server.api.triton.server_settings import LISTS, ChangeLevel, log_settings, trace_settings
from server.api.triton.statistics import model_statistics
from server.errors import InvalidInput, NotSupported
from server.repository.repository import Repository
from server.runtime import logs

#: which of a `LogSettingValue`'s fields a value goes into
_LOG_FIELDS = {bool: "bool_param", int: "uint32_param", str: "string_param"}


class TritonCalls:
    """Methods of `inference.GRPCInferenceService` that KServe's definition of it lacks."""

    def __init__(
        self,
        repository: Repository,
        refresh: Refresh = nothing_new,
        change_level: ChangeLevel = logs.set_level,
    ) -> None:
        """`refresh` is awaited before the statistics are read; `change_level` is called with a new level of the log."""
        self.repository = self._repository = repository
        self._refresh = refresh
        self._change_level = change_level

    def check_admin(self, context: Any) -> None:
        """
        Raises:
            Unauthorized, Forbidden: who calls may not change the server.
        """

    @with_status
    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        _check_repository(request.repository_name)
        return _message("RepositoryIndexResponse", {"models": self._repository.index(request.ready)})

    @with_status
    async def ModelConfig(self, request: Any, context: Any) -> Any:
        model = await self._repository.ready(request.name, request.version or None)
        return _message("ModelConfigResponse", {"config": model_config(request.name, model)})

    @with_status
    async def ModelStatistics(self, request: Any, context: Any) -> Any:
        await self._refresh()
        counted = model_statistics(self._repository, request.name, request.version or None)
        return _message("ModelStatisticsResponse", counted)

    @with_status
    async def TraceSetting(self, request: Any, context: Any) -> Any:
        if request.model_name:
            self._repository.check_known(request.model_name)
        wanted = {name: _trace_value(name, list(each.value)) for name, each in request.settings.items()}
        known = trace_settings(wanted)
        listed = {name: {"value": each if isinstance(each, list) else [each]} for name, each in known.items()}
        return _message("TraceSettingResponse", {"settings": listed})

    @with_status
    async def LogSettings(self, request: Any, context: Any) -> Any:
        wanted = {name: _chosen(each) for name, each in request.settings.items()}
        if wanted:
            self.check_admin(context)
        known = log_settings(wanted, self._change_level)
        return _message(
            "LogSettingsResponse", {"settings": {name: {_LOG_FIELDS[type(each)]: each} for name, each in known.items()}}
        )


def _shared_memory(name: str) -> Any:
    async def refuse(self: TritonCalls, request: Any, context: Any) -> Any:
        raise NotSupported(f"{name}: shared memory is not served: send tensors in the request")

    refuse.__name__ = name
    return with_status(refuse)


for _name in SHARED_MEMORY:
    setattr(TritonCalls, _name, _shared_memory(_name))


def asked_model(request: Any) -> str:
    """The model that a request to load or to unload is about: Triton names it in field 2, KServe in field 1.

    Raises:
        InvalidInput: it asks for another repository than this one, or to load in another way.
    """
    if not request.model_name:
        return str(request.repository_name)
    _check_repository(request.repository_name)
    check_options({name: _chosen(value) for name, value in request.parameters.items()})
    return str(request.model_name)


def _check_repository(name: str) -> None:
    if name:
        raise InvalidInput(f"there is no repository {name!r}: this server has one, leave repository_name empty")


def _chosen(value: Any) -> Any:
    """What a `oneof` holds; None: nothing."""
    field = value.WhichOneof("choice")
    return getattr(value, field) if field else None


def _trace_value(name: str, values: list[str]) -> Any:
    """As REST has it: a list where the setting is one, a text elsewhere; none at all asks for what it was."""
    if not values:
        return None
    return values if name in LISTS or len(values) > 1 else values[0]


def _message(name: str, document: dict[str, Any]) -> Any:
    return ParseDict(document, message_type(name)(), descriptor_pool=POOL)
