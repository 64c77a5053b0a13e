"""An engine that says what a test has written down, and one token at a time where the test lets it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from adapters.generation.engine import EngineFull, EngineUsage, Finish, Generation, TokenEvent


def events_of(tokens: Sequence[int], finish: Finish = Finish.LENGTH) -> list[TokenEvent]:
    """One event a token; the last says why it is the last."""
    return [
        TokenEvent(token, -float(number + 1), ((token, -1.0),), finish=finish if number + 1 == len(tokens) else None)
        for number, token in enumerate(tokens)
    ]


@dataclass
class ScriptedStream:
    """A `TokenStream` of given events; an exception among them is raised."""

    events: Iterator[TokenEvent | Exception]
    gate: asyncio.Semaphore | None = None
    closed: int = 0
    cached_tokens: int = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TokenEvent:
        if self.gate is not None:
            await self.gate.acquire()
        event = next(self.events, None)
        if event is None or self.closed:
            raise StopAsyncIteration
        if isinstance(event, Exception):
            raise event
        return event

    async def aclose(self) -> None:
        self.closed += 1


@dataclass
class ScriptedEngine:
    """Gives each generation the next of the scripts."""

    scripts: list[Sequence[TokenEvent | Exception]]
    room: int = 100
    gate: asyncio.Semaphore | None = None
    asked: list[Generation] = field(default_factory=list)
    streams: list[ScriptedStream] = field(default_factory=list)
    closed: bool = False

    def submit(self, generation: Generation) -> ScriptedStream:
        if len(self.asked) == self.room:
            raise EngineFull(f"{self.room} wait already")
        self.asked.append(generation)
        script = self.scripts[(len(self.asked) - 1) % len(self.scripts)]
        self.streams.append(ScriptedStream(iter(script), self.gate))
        return self.streams[-1]

    def usage(self) -> EngineUsage:
        return EngineUsage(0, 0, 0, 0, 0, 0, 0)

    def longest(self) -> int:
        return 1 << 31

    def close(self) -> None:
        self.closed = True
