"""What a model is asked, of what came over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.api.rest.paths import ModelPath
from server.api.rest.predict import InferenceRoutes
from server.errors import NotFound
from server.inference.answer import Answer


class Models:
    """One model, that keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def ready(self, name: str, version: str | None = None) -> Any:
        if (name, version) != ("iris", "3"):
            raise NotFound(f"there is no model {name!r}")
        return self

    async def handle(self, request: Any) -> Answer:
        self.asked.append(request)
        return Answer(200, [], b"{}")


def ask(models: Any, path: ModelPath) -> Any:
    scope = {"headers": [(b"inference-header-content-length", b"5"), (b"x-a", b"b")]}
    return asyncio.run(InferenceRoutes(models).handler(path)(scope, b"body", lambda: True))


def test_the_model_gets_all_of_the_request() -> None:
    models = Models()
    assert ask(models, ModelPath("v2", "generate", "iris", "3")) == Answer(200, [], b"{}")
    (request,) = models.asked
    assert (request.protocol, request.verb, request.model, request.version) == ("v2", "generate", "iris", "3")
    assert (request.body, request.json_length, request.is_disconnected()) == (b"body", "5", True)
    assert request.header_map()["x-a"] == "b"


def test_a_model_that_is_not_there() -> None:
    models = Models()
    with pytest.raises(NotFound, match="'rose'"):
        ask(models, ModelPath("v1", "predict", "rose"))
    assert not models.asked
