"""An answer made of generated parts, whole or in chunks; what it looks like is up to a `Shape` (chats, completions)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import orjson

from server.api.openai.error_object import error_document
from server.api.rest.event_stream import KEEP_ALIVE
from server.errors import ServingError, as_serving_error
from server.inference.answer import JSON_HEADERS, Answer, StreamedAnswer
from server.inference.generated_parts import GeneratedParts

log = logging.getLogger("kserve")

_DONE = b"[DONE]"


@dataclass
class MadeText:
    """One sequence as far as it is made."""

    text: str = ""
    tokens: list[dict[str, Any]] = field(default_factory=list)
    finish: str | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)  #: of tools: name and arguments
    reasoning: str = ""


class Shape(Protocol):
    """How OpenAI writes answers of one kind; documents have all but the usage."""

    @property
    def count(self) -> int:
        """How many choices there are."""

    def complete(self, made: list[MadeText]) -> dict[str, Any]: ...

    def usage(self, usage: Mapping[str, int]) -> dict[str, Any]: ...


class ChunkShape(Shape, Protocol):
    """How they are written in chunks."""

    def opening(self) -> Iterator[dict[str, Any]]:
        """Chunks that come before any text."""

    def chunks(self, index: int, delta: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Chunks of a delta; the one with the reason why it ended has nothing else."""

    def closing(self) -> dict[str, Any]:
        """The chunk for the usage, without any choice."""


async def whole_answer(parts: GeneratedParts, shape: Shape) -> Answer:
    """All parts as one document.

    Raises:
        ServingError: the model's, or `ClientGone`.
    """
    made = [MadeText() for _ in range(shape.count)]
    usage: dict[str, int] = {}
    try:
        async for part in parts:
            usage = part.get("usage", usage)
            for delta in part.get("deltas", ()):
                choice = made[delta["index"]]
                choice.text += delta["text"]
                choice.tokens += delta["tokens"]
                choice.calls += delta.get("calls", ())
                choice.reasoning += delta.get("reasoning", "")
                choice.finish = delta["finish"]
    finally:
        await parts.aclose()
    return Answer(200, JSON_HEADERS, orjson.dumps(shape.complete(made) | {"usage": shape.usage(usage)}))


class ChunkStream:
    """`adapters.base.Parts` for a client that takes chunks: documents, then `[DONE]`, behind an error as well."""

    def __init__(self, parts: GeneratedParts, shape: ChunkShape, *, wants_usage: bool) -> None:
        self._parts = parts
        self._shape = shape
        self._wants_usage = wants_usage
        self._documents = self._made()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._documents)

    async def aclose(self) -> None:
        await self._documents.aclose()
        await self._parts.aclose()

    def answer(self) -> StreamedAnswer:
        """To be sent."""
        return StreamedAnswer([], self)

    async def _made(self) -> Any:
        try:
            for chunk in self._shape.opening():
                yield self._document(chunk)
            async for part in self._parts:
                if not part:
                    yield KEEP_ALIVE
                for delta in part.get("deltas", ()):
                    for chunk in self._shape.chunks(delta["index"], delta):
                        yield self._document(chunk)
                if self._wants_usage and "usage" in part:
                    yield orjson.dumps(self._shape.closing() | {"usage": self._shape.usage(part["usage"])})
        except Exception as error:
            yield self._failed(error)
        yield _DONE

    def _document(self, chunk: dict[str, Any]) -> bytes:
        return orjson.dumps(chunk | {"usage": None} if self._wants_usage else chunk)

    def _failed(self, error: Exception) -> bytes:
        known: ServingError = as_serving_error(error)
        if known is not error:
            log.exception("a stream failed")
        return orjson.dumps(error_document(known))


def token_usage(usage: Mapping[str, int]) -> dict[str, Any]:
    """As chats and completions tell it."""
    prompt, made = usage["prompt_tokens"], usage["completion_tokens"]
    counts = {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}
    details: dict[str, Any] = {"prompt_tokens_details": {"cached_tokens": usage.get("cached_tokens", 0)}}
    if "reasoning_tokens" in usage:
        details["completion_tokens_details"] = {"reasoning_tokens": usage["reasoning_tokens"]}
    return counts | details
