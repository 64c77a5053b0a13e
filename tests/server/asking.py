"""Requests to a served model, as a shell would make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from server.inference.answer import Answer
from server.inference.model import ServedModel
from server.inference.request import InferenceRequest, never_disconnected


def request(
    model: ServedModel,
    body: bytes,
    protocol: str = "v1",
    verb: str = "predict",
    headers: Mapping[str, str] | None = None,
    is_disconnected: Callable[[], bool] = never_disconnected,
    **more: Any,
) -> InferenceRequest:
    """A request to this model."""
    pairs: list[Any] = list((headers or {}).items())
    if protocol != "grpc":
        pairs = [(name.encode(), value.encode()) for name, value in pairs]
    return InferenceRequest(protocol, verb, model.name, model.version, pairs, body, is_disconnected, **more)


async def ask(model: ServedModel, body: bytes, protocol: str = "v1", verb: str = "predict", **more: Any) -> Answer:
    """Its whole answer."""
    answer = await model.handle(request(model, body, protocol, verb, **more))
    assert isinstance(answer, Answer)
    return answer


async def v1(model: ServedModel, body: bytes) -> bytes:
    """The V1 answer to a V1 body."""
    return (await ask(model, body)).body


async def explain(model: ServedModel, body: bytes) -> bytes:
    """The V1 explanations of a V1 body."""
    return (await ask(model, body, verb="explain")).body
