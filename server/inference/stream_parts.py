"""The parts of answers that come in parts, and how such an answer ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Self

from adapters.base import Parts, StreamFailed
from server.errors import ClientGone, ModelFailed, as_serving_error

log = logging.getLogger("kserve")


class CountedParts:
    """The parts of a stream as one request: `ended` gets its status once, 499 where nobody stayed to its end."""

    def __init__(self, parts: Parts, ended: Callable[[int], None]) -> None:
        self._parts = parts
        self._ended: Callable[[int], None] | None = ended
        self._status = ClientGone.status  #: unless it comes to its end

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """
        Raises:
            ServingError: the stream ends with an error.
        """
        try:
            return await anext(self._parts)
        except StopAsyncIteration:
            self._status = 200
            raise
        except Exception as error:
            known = ModelFailed(str(error)) if isinstance(error, StreamFailed) else as_serving_error(error)
            self._status = known.status
            if known is error:
                raise
            raise known from error

    async def aclose(self) -> None:
        """End the model's work, unless it has come to its end."""
        ended, self._ended = self._ended, None
        if ended is not None:
            try:
                await self._parts.aclose()
            finally:
                ended(self._status)


class ShownParts:
    """Parts that others look at as they go by. What they raise is logged, and ends nobody's stream."""

    def __init__(self, parts: Parts, shown: Sequence[Callable[[bytes], None]]) -> None:
        self._parts = parts
        self._shown = shown

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        part = await anext(self._parts)
        for show in self._shown:
            try:
                show(part)
            except Exception:
                log.exception("who looks on failed")
        return part

    async def aclose(self) -> None:
        """End the model's work."""
        await self._parts.aclose()


class SinglePart:
    """A whole answer to who asked for parts."""

    def __init__(self, part: bytes) -> None:
        self._left = [part]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()

    async def aclose(self) -> None:
        """There is no work to end."""
