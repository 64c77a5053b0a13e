"""Requests of every protocol as jobs, and what becomes of them as answers in it.

| protocol   | asked by                                               | answered                                   |
|------------|--------------------------------------------------------|--------------------------------------------|
| generation | the job itself, as JSON (`job`)                        | its parts (`answer_parts`)                 |
"""

from __future__ import annotations

from typing import Any

import orjson

from adapters.base import InvalidInput, Reply, ReplyStream, Request
from adapters.generation.generator import Generator
from adapters.generation.job import Job
from adapters.generation.refusal import JSON_HEADERS, Refused


class Answers:
    """One model's answers."""

    def __init__(self, generator: Generator, name: str) -> None:
        self._generator = generator
        self._name = name

    async def to(self, request: Request) -> Reply | ReplyStream:
        """The reply to a request.

        Raises:
            InvalidInput: it is refused.
        """
        if request.verb == "explain":
            raise Refused("a language model has no explanations", status=501)
        return await self._job(request)

    async def _job(self, request: Request) -> ReplyStream:
        parts = await self._generator.begin(Job.of(_object(request.body)))
        return ReplyStream(parts, JSON_HEADERS)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInput("the body must be a JSON object")
    return found
