"""What GET tells of models: whether they are ready, what they take, how they are set up, how often they were asked.

    GET  /v2/models/{model}[/versions/{version}][/ready, /config, /stats], /v2/models/stats
    GET  /v1/models/{model}[/versions/{version} | /labels/{label}][/metadata]
    GET, POST  /v2/trace/setting, /v2/models/{model}/trace/setting, /v2/logging

KServe's own routes know no versions. A model called "stats" is told of as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from server.api.lookup import Refresh, nothing_new
from server.api.model_metadata import model_metadata
from server.api.model_parameters import ModelParameters
from server.api.rest.asgi import Handler, Scope
from server.api.rest.paths import LOGGING, MODEL_TRACE, TRACE, V2, ModelPath, is_settings
from server.api.triton.configuration import model_config
from server.api.triton.server_settings import ChangeLevel, log_settings, trace_settings
from server.api.triton.statistics import model_statistics
from server.api.version_status import version_metadata, version_status
from server.codec.json_bodies import parse_small_object
from server.errors import NotReady, message
from server.inference.answer import JSON_HEADERS, Answer
from server.inference.request import IsDisconnected
from server.repository.repository import Repository
from server.runtime import logs

_ALL_STATISTICS = ModelPath("v2", "metadata", "stats")


class ModelFacts:
    """Answers such requests from a repository."""

    def __init__(
        self,
        repository: Repository,
        refresh: Refresh = nothing_new,
        change_level: ChangeLevel = logs.set_level,
    ) -> None:
        """`refresh` is awaited before the statistics are read; `change_level` is called with a new level of the log."""
        self._repository = repository
        self._refresh = refresh
        self._log_settings = partial(log_settings, change=change_level)
        self._parameters = ModelParameters(repository)
        self._tellers = {
            ("v1", "status"): self._v1_status,
            ("v1", "metadata"): self._v1_metadata,
            ("v2", "metadata"): self._metadata,
            ("v2", "ready"): self._ready,
            ("v2", "config"): self._config,
            ("v2", "stats"): self._statistics,
        }

    def handler(self, asked: ModelPath) -> Handler:
        """What answers a GET of this path."""
        if asked == _ALL_STATISTICS and "stats" not in self._repository.store.models:
            return partial(self._answer, self._statistics, ModelPath("v2", "stats", ""))
        return partial(self._answer, self._tellers[asked.protocol, asked.verb], asked)

    def settings_handler(self, path: str) -> Handler | None:
        """What answers a GET or a POST of the trace or log settings; None: the path is another."""
        if not is_settings(path):
            return None
        if path == LOGGING:
            return partial(self._settings, self._log_settings, "")
        model = "" if path == TRACE else path[len(V2) :].removesuffix(MODEL_TRACE)
        return partial(self._settings, trace_settings, model)

    async def _answer(
        self, teller: Any, asked: ModelPath, scope: Scope, body: bytes, is_disconnected: IsDisconnected
    ) -> Answer:
        answer: Answer = await teller(asked.model, asked.version)
        return answer

    async def _settings(
        self,
        settings: Callable[[Mapping[str, Any]], dict[str, Any]],
        model: str,
        scope: Scope,
        body: bytes,
        is_disconnected: IsDisconnected,
    ) -> Answer:
        if model:
            self._repository.check_known(model)
        return _json(settings(parse_small_object(body, "the settings") if body.strip() else {}))

    async def _metadata(self, name: str, version: str | None) -> Answer:
        known = await model_metadata(self._repository, name, version)
        model = await self._repository.ready(name, version)
        return _json({**known, "parameters": self._parameters.of(name, version, model)})

    async def _ready(self, name: str, version: str | None) -> Answer:
        self._check_ready(name, version)
        return _json({"name": name, "ready": True})

    async def _config(self, name: str, version: str | None) -> Answer:
        return _json(model_config(name, await self._repository.ready(name, version)))

    async def _statistics(self, name: str, version: str | None) -> Answer:
        await self._refresh()
        return _json(model_statistics(self._repository, name, version))

    async def _v1_status(self, name: str, version: str | None) -> Answer:
        """KServe's status and TensorFlow Serving's, which has one for each version."""
        known = {"model_version_status": version_status(self._repository.states(name, version))}
        try:
            self._check_ready(name, version)
        except NotReady as error:
            return _json({"error": message(error), **known}, error.status)
        return _json({"name": name, "ready": True, **known})

    async def _v1_metadata(self, name: str, version: str | None) -> Answer:
        model = await self._repository.ready(name, version)
        states = self._repository.states(name, version)
        number = next((number for number, state in states.items() if state.model is model), model.version)
        parameters = self._parameters.of(name, version, model)
        return _json({**version_metadata(name, number, model), "parameters": parameters})

    def _check_ready(self, name: str, version: str | None) -> None:
        """
        Raises:
            NotFound, NotReady: a request would not reach a model; one that it would bring back counts as ready.
        """
        if not self._repository.is_asleep(name, version):
            self._repository.ready_model(name, version)


def _json(document: Any, status: int = 200) -> Answer:
    return Answer(status, JSON_HEADERS, orjson.dumps(document))
