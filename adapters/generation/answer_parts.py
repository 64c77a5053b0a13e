"""The sequences of one job, made side by side, as one stream of parts.

    {"prompt_tokens": 12}                                              first, before any token is made
    {"deltas": [{"index": 0, "text": "Par", "tokens": [...], "finish": null}, ...]}
        ... and "calls": [{"name": ..., "arguments": "{...}"}] where the model calls tools
        ... and "reasoning": "..." where it thinks before the text
    {}                                                                 nothing yet, but it is being worked on
    {"usage": {"prompt_tokens": 12, "completion_tokens": 3, "cached_tokens": 0},
     "seconds": {"first_token": 0.2, "per_token": 0.05, ...}, "finished": {"stop": 1},
     "gaps": [[0, 2, ...], 0.1]}                                       last; the gaps between tokens are a histogram

Tokens are taken from the engine as they come, whatever the reader's pace: a slow client holds no slot. What has come
meanwhile goes in one part. Whoever closes the parts ends the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

import orjson

from adapters.generation.sequence_text import TextDelta

#: seconds; vLLM's own buckets
GAP_BOUNDS = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
#: seconds until a part says that there is nothing new: less than any `call_timeout`
_PATIENCE = 0.5


class EventStream(Protocol):
    """Events of one sequence, whichever engine makes them: each says whether it is `in_prompt`."""

    def __aiter__(self) -> Any: ...

    async def __anext__(self) -> Any: ...

    async def aclose(self) -> None: ...


class EventReader(Protocol):
    """What makes a text of those."""

    @property
    def generated(self) -> int: ...

    @property
    def reasoned(self) -> int | None: ...

    @property
    def finish(self) -> str | None: ...

    def push(self, event: Any) -> TextDelta: ...

    def end(self) -> TextDelta: ...


class AnswerParts:
    """`adapters.base.Parts` of one job."""

    def __init__(
        self,
        sequences: Sequence[tuple[EventStream, EventReader]],
        prompt_tokens: int,
        *,
        stream: bool,
        cached_tokens: Callable[[], int] = lambda: 0,
        patience: float = _PATIENCE,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`stream`: deltas come as they are made; else each sequence is one.

        `cached_tokens` tells at the end how many of the prompts' tokens were not computed.
        """
        self._pace = _Pace(clock)
        self._texts = [text for _, text in sequences]
        self._streams = [tokens for tokens, _ in sequences]
        self._prompt_tokens = prompt_tokens
        self._cached_tokens = cached_tokens
        self._stream = stream
        self._patience = patience
        self._news: asyncio.Queue[tuple[int, TextDelta] | BaseException] = asyncio.Queue()
        self._unfinished = len(sequences)
        self._began = self._over = False
        self._tasks = [asyncio.create_task(self._run(index, *each)) for index, each in enumerate(sequences)]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """
        Raises:
            Exception: what the engine failed with.
        """
        if not self._began:
            self._began = True
            return orjson.dumps({"prompt_tokens": self._prompt_tokens})
        if self._over:
            raise StopAsyncIteration
        if not self._unfinished and self._news.empty():
            self._over = True
            finished = Counter(str(text.finish) for text in self._texts)
            told = {"usage": self._usage(), "seconds": self._pace.seconds(), "gaps": self._pace.gaps()}
            return orjson.dumps({**told, "finished": finished})
        return orjson.dumps(await self._next_news())

    async def aclose(self) -> None:
        self._over = self._began = True
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for tokens in self._streams:  # a task that was cancelled before it began has closed nothing
            await tokens.aclose()

    async def _next_news(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._patience):
                waiting = [await self._news.get()]
        except TimeoutError:
            return {}
        while not self._news.empty():
            waiting.append(self._news.get_nowait())
        deltas: list[dict[str, Any]] = []
        for news in waiting:
            if isinstance(news, BaseException):
                self._over = True
                raise news
            _append(deltas, *news)
            self._unfinished -= news[1].finish is not None
        return {"deltas": deltas}

    async def _run(self, index: int, tokens: EventStream, text: EventReader) -> None:
        """Make one sequence, and let go of its slot."""
        deltas: list[TextDelta] = []
        try:
            async for event in tokens:
                if not event.in_prompt:
                    self._pace.token(index)
                deltas.append(text.push(event))
                if self._stream:
                    self._tell(index, deltas)
                if text.finish is not None:
                    break
                if event.in_prompt:  # of which there may be thousands at once
                    await asyncio.sleep(0)
            if text.finish is None:
                deltas.append(text.end())
            self._tell(index, deltas)
            await tokens.aclose()
        except Exception as error:
            self._news.put_nowait(error)

    def _tell(self, index: int, deltas: list[TextDelta]) -> None:
        """Hand on what there is to tell."""
        text = "".join(delta.text for delta in deltas)
        tokens = [token for delta in deltas for token in delta.tokens]
        calls = [call for delta in deltas for call in delta.calls]
        reasoning = "".join(delta.reasoning for delta in deltas)
        finish = deltas[-1].finish if deltas else None
        deltas.clear()
        if text or tokens or calls or reasoning or finish:
            self._news.put_nowait((index, TextDelta(text, tokens, finish, calls, reasoning)))

    def _usage(self) -> dict[str, int]:
        made = sum(text.generated for text in self._texts)
        told = {"prompt_tokens": self._prompt_tokens, "completion_tokens": made}
        return {**told, "cached_tokens": self._cached_tokens(), **reasoning_tokens(self._texts)}


def reasoning_tokens(texts: Sequence[EventReader]) -> dict[str, int]:
    """How many there were, where that is known."""
    counts = [text.reasoned for text in texts if text.reasoned is not None]
    return {"reasoning_tokens": sum(counts)} if counts else {}


class _Pace:
    """How fast the tokens of a job came."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._first: float | None = None
        self._last: dict[int, float] = {}  #: when the last token of a sequence came
        self._between = 0.0
        self._gaps = [0] * (len(GAP_BOUNDS) + 1)

    def token(self, index: int) -> None:
        """One of this sequence has come."""
        now = self._clock()
        if self._first is None:
            self._first = now
        if (last := self._last.get(index)) is not None:
            self._between += now - last
            self._gaps[bisect_left(GAP_BOUNDS, now - last)] += 1
        self._last[index] = now

    def seconds(self) -> dict[str, float]:
        """From the job to its first token, and to its end, and between two tokens of a sequence; what there was."""
        seconds = {"whole": self._clock() - self._began}
        if self._first is not None:
            seconds["first_token"] = self._first - self._began
        if gaps := sum(self._gaps):
            seconds["per_token"] = self._between / gaps
        return seconds

    def gaps(self) -> tuple[list[int], float]:
        """How many there were between two tokens up to each of `GAP_BOUNDS`, and their sum."""
        return self._gaps, self._between


def _append(deltas: list[dict[str, Any]], index: int, delta: TextDelta) -> None:
    """Add one, or make it part of the last where that is of the same sequence."""
    answered = deltas and (deltas[-1]["text"] or deltas[-1].get("calls"))
    if not deltas or deltas[-1]["index"] != index or (delta.reasoning and answered):
        deltas.append({"index": index, "text": "", "tokens": [], "finish": None})
    last = deltas[-1]
    last["text"] += delta.text
    last["tokens"] += delta.tokens
    last["finish"] = delta.finish
    if delta.reasoning:
        last["reasoning"] = last.get("reasoning", "") + delta.reasoning
    if delta.calls:
        calls = [{"name": call.name, "arguments": call.arguments} for call in delta.calls]
        last["calls"] = [*last.get("calls", ()), *calls]
