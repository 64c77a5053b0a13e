"""Requests for what a model predicts or explains, in the protocols that carry the load.

POST /v1/models/{model}[/versions/{version}]:predict, :explain     V1
POST /v2/models/{model}[/versions/{version}]/infer                 V2, JSON and binary
"""

from __future__ import annotations

from typing import NamedTuple

from server.api.lookup import Models
from server.api.rest.asgi import Answer, Handler, Scope, header, v2_headers
from server.api.rest.head_cache import is_cloudevent
from server.codec.v2 import HEADER_LENGTH
from server.errors import JSON_HEADER
from server.inference.request import IsDisconnected
from server.repository.state import tensors

V1, V2 = "/v1/models/", "/v2/models/"


class Asked(NamedTuple):
    """What a path asks of a model."""

    verb: str
    protocol: str
    model: str
    version: str | None = None


def asked_of(path: str) -> Asked | None:
    """What a POST to the path asks of a model; None: nothing."""
    if path.startswith(V1):
        named, _, verb = path[len(V1) :].rpartition(":")
        return Asked(verb, "v1", *_versioned(named)) if verb in ("predict", "explain") else None
    if path.startswith(V2) and path.endswith("/infer"):
        name, named, version = path[len(V2) : -len("/infer")].partition("/versions/")
        return Asked("predict", "v2", name, version if named else None)
    return None


class ModelRoutes:
    """Answers such requests for models of tensors."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def handler(self, scope: Scope) -> Handler | None:
        """What answers a POST, or None where it is no such request."""
        path: str = scope["path"]
        if path.startswith(V1) and path.endswith(":predict"):
            return None if is_cloudevent(scope["headers"]) else self._predict_v1
        if path.startswith(V1) and path.endswith(":explain"):
            return None if is_cloudevent(scope["headers"]) else self._explain_v1
        if path.startswith(V2) and path.endswith("/infer"):
            return self._infer_v2
        return None

    async def _predict_v1(self, scope: Scope, body: bytes, gone: IsDisconnected) -> Answer:
        model = tensors(await self._models.ready(*_versioned(scope["path"][len(V1) : -len(":predict")])))
        return 200, [JSON_HEADER], await model.predict_v1(body, gone)

    async def _explain_v1(self, scope: Scope, body: bytes, gone: IsDisconnected) -> Answer:
        model = tensors(await self._models.ready(*_versioned(scope["path"][len(V1) : -len(":explain")])))
        return 200, [JSON_HEADER], await model.explain_v1(body, gone)

    async def _infer_v2(self, scope: Scope, body: bytes, gone: IsDisconnected) -> Answer:
        name, named, version = scope["path"][len(V2) : -len("/infer")].partition("/versions/")
        model = tensors(await self._models.ready(name, version if named else None))
        answer, json_length = await model.infer_v2(body, header(scope, HEADER_LENGTH), gone)
        return 200, v2_headers(json_length), answer


def _versioned(path: str) -> tuple[str, str | None]:
    """The model and the version of V1's path, as in TensorFlow Serving: m/versions/1, m/labels/stable."""
    name, named, version = path.partition("/versions/" if "/versions/" in path else "/labels/")
    return name, version if named else None
