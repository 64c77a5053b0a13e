"""What comes from a model that generates, part by part, and whether its client is still there.

The parts are those of `adapters.generation.answer_parts`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Self

import orjson

from adapters.base import Parts
from server.errors import ClientGone, ModelFailed
from server.inference.request import IsDisconnected

#: parts that say that there is nothing new, each half a second after the last, until the client is told
_PATIENCE = 10
#: seconds between two looks at whether the client is there: ASGI tells it to nobody who does not read
_TICK = 0.1


class GeneratedParts:
    """Parts as objects. Reading them ends when the client goes."""

    def __init__(self, parts: Parts, is_disconnected: IsDisconnected) -> None:
        self._parts = parts
        self._is_disconnected = is_disconnected
        self._ahead: list[dict[str, Any]] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        """
        Raises:
            ServingError: the model's, or `ClientGone`.
        """
        return self._ahead.pop(0) if self._ahead else await self._next()

    async def begin(self) -> None:
        """Wait for the first tokens, or for the word that they take long. What fails until then fails as a whole.

        Raises:
            ServingError
        """
        with contextlib.suppress(StopAsyncIteration):
            while len(self._ahead) <= _PATIENCE and not any("deltas" in part for part in self._ahead):
                self._ahead.append(await self._next())

    async def aclose(self) -> None:
        await self._parts.aclose()

    def _check_client(self) -> None:
        if self._is_disconnected():
            raise ClientGone("the client hung up")

    async def _next(self) -> dict[str, Any]:
        part = asyncio.ensure_future(anext(self._parts))
        try:
            while not (await asyncio.wait((part,), timeout=_TICK))[0]:
                self._check_client()
        except BaseException:
            part.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await part
            raise
        try:
            found: dict[str, Any] = orjson.loads(part.result())
        except orjson.JSONDecodeError as error:
            raise ModelFailed("the worker sent what is no part of an answer") from error
        return found
