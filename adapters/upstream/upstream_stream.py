"""One sequence asked of a program: a `TokenStream` of its chunks, bounded in time, in tokens and in bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from adapters.base import InvalidInput, StreamFailed
from adapters.generation.refusal import TOO_LONG, RefusedJob
from adapters.upstream.socket_http import BrokenAnswer, Exchange
from adapters.upstream.upstream_events import ProgramEvent, event_of, message_of_error

_DONE = b"[DONE]"
_LONGEST_LINE = 8 << 20  #: bytes: a prompt that is echoed with its logprobs comes in one
_LONGEST_ANSWER = 64 << 20
_LONGEST_ERROR = 64 << 10
#: how llama.cpp and vLLM say that a prompt does not fit the context
_TOO_LONG_TYPE, _TOO_LONG_TEXT = "exceed_context_size_error", "maximum context length"
_BAD_SCHEMA = "JSON schema error at "  #: and how llama.cpp says what is wrong with one, behind what is no news
_SLACK = 16  #: chunks that are no tokens: an echo, what is held back
_REFUSALS = (400, 404, 413, 422)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    first: float = 600.0  #: until an answer begins: the program may be at others
    between: float = 60.0  #: from one token to the next


class UpstreamStream:
    """Asks at once; iterating gives its chunks. One task takes and closes it."""

    def __init__(
        self,
        program: str,
        socket: Path,
        target: str,
        body: Mapping[str, Any],
        patience: Patience,
        schema: str = "",
    ) -> None:
        """`program` is its name in messages; `schema` the field that has a JSON schema, or would have."""
        self._program = program
        self._served_name = str(body["model"])
        self._most = body.get("max_tokens")
        self._patience = patience
        self._schema = schema
        self._exchange: Exchange | None = None
        self._opening = asyncio.ensure_future(Exchange.begin(socket, "POST", target, orjson.dumps(body)))
        self._events = self._checked()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ProgramEvent:
        """
        Raises:
            InvalidInput: the program refuses it.
            StreamFailed: the program fails at it, with what it has to say.
        """
        return await anext(self._events)

    async def opened(self, seconds: float) -> None:
        """Wait so long for the program's first word; nothing is raised, and nothing lost."""
        await asyncio.wait((self._opening,), timeout=seconds)

    @property
    def refusal(self) -> int:
        """The status by which the program has refused it, as far as that is known; 0: none."""
        if not self._opening.done() or self._opening.cancelled() or self._opening.exception() is not None:
            return 0
        status = self._opening.result().status
        return status if status >= 400 else 0

    async def aclose(self) -> None:
        """Give up: the program is told by hanging up."""
        self._opening.cancel()
        with contextlib.suppress(asyncio.CancelledError, BrokenAnswer):
            (await self._opening).close()
        await self._events.aclose()

    async def _checked(self) -> Any:
        try:
            async for event in self._taken():
                yield event
        except InvalidInput:
            raise
        except BrokenAnswer as error:
            raise StreamFailed(f"{self._program} failed at this request: {error}") from error

    async def _taken(self) -> AsyncIterator[ProgramEvent]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience.first
        exchange = await self._in_time(asyncio.shield(self._opening), deadline, "first_token_seconds")
        if exchange.status != 200:
            raise await _refusal(exchange, self._schema)
        lines, size, made = exchange.lines(_LONGEST_LINE), 0, 0
        while (line := await self._in_time(_next(lines), deadline, self._limit(made))) is not None:
            size += len(line)
            if size > _LONGEST_ANSWER:
                raise BrokenAnswer(f"its answer has more than {_LONGEST_ANSWER >> 20} MiB")
            name, _, data = line.partition(b":")
            data = data.strip()
            if name == b"error":  # llama.cpp's older word for it
                raise BrokenAnswer(f"it says: {data[:500].decode(errors='replace')}")
            if name != b"data" or not data:
                continue
            if data == _DONE:
                return
            event = event_of(data, self._served_name)
            if not event.in_prompt:
                made += 1
                deadline = loop.time() + self._patience.between
                if self._most is not None and made > self._most + _SLACK:
                    raise BrokenAnswer(f"it goes on behind the {self._most} tokens that were asked for")
            yield event
        raise BrokenAnswer("its answer was cut: it has no end")

    def _limit(self, made: int) -> str:
        return "token_seconds" if made else "first_token_seconds"

    async def _in_time(self, awaited: Any, deadline: float, option: str) -> Any:
        try:
            async with asyncio.timeout_at(deadline):
                return await awaited
        except TimeoutError as error:
            seconds = self._patience.between if option == "token_seconds" else self._patience.first
            raise BrokenAnswer(f"no token came for {seconds:g} s (options.{option})") from error


async def _next(lines: AsyncIterator[bytes]) -> bytes | None:
    return await anext(lines, None)


async def _refusal(exchange: Exchange, schema: str) -> Exception:
    """What to raise for an answer that is an error."""
    body = await exchange.body(_LONGEST_ERROR)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = body.decode(errors="replace")
    told = message_of_error(document)
    error = document.get("error") if isinstance(document, dict) else None
    if exchange.status == 429:
        return RefusedJob(f"the model has no room for more requests: {told}", None, "queue_full", 429)
    if exchange.status in _REFUSALS:
        _, bad_schema, wrong = told.partition(_BAD_SCHEMA)
        if bad_schema and schema:
            return RefusedJob(f"{schema}: {bad_schema}{wrong}", schema.partition(".")[0])
        named = [error.get(name) if isinstance(error, dict) else None for name in ("param", "code")]
        param, code = (each if isinstance(each, str) else None for each in named)
        too_long = isinstance(error, dict) and error.get("type") == _TOO_LONG_TYPE
        return RefusedJob(told, param, TOO_LONG if too_long or _TOO_LONG_TEXT in told else code)
    return BrokenAnswer(f"it answered {exchange.status}: {told}")
