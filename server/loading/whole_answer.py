"""The whole answer of a loaded model to one request: what recorded examples are compared with."""

from __future__ import annotations

from adapters.base import Adapter, Reply, ReplyStream, Request
from server.errors import NotSupported

__all__ = ["answer_in_one"]


async def answer_in_one(adapter: Adapter, request: Request) -> Reply:
    """The answer to a request of V1 or V2.

    Raises:
        NotSupported: it comes in parts.
    """
    if adapter.signature.generates:  # whose codecs import KServe, which may not be imported before this process says so
        from server.inference.answer import Answer
        from server.inference.batching.queue import Limits
        from server.inference.generation_model import GenerationModel
        from server.inference.request import InferenceRequest
        from server.telemetry.counters import ModelMetrics

        asked = InferenceRequest(request.protocol, request.verb, "", None, [], request.body)
        answer = await GenerationModel("", adapter, Limits(), ModelMetrics()).handle(asked)
        assert isinstance(answer, Answer)
        return Reply(answer.body, {}, answer.status)
    reply = await adapter.answer(request)
    if isinstance(reply, ReplyStream):
        await reply.parts.aclose()
        raise NotSupported("it answers in parts, which no recorded example holds")
    return reply
