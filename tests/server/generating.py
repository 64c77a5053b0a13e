"""A language model that says what a test has written down: its parts, as `adapters.generation.answer_parts` tells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import orjson

from adapters.base import (
    Adapter,
    Match,
    ModelDir,
    Parameter,
    Parameters,
    Reply,
    ReplyStream,
    Request,
    Signature,
    Tensors,
    TensorSpec,
)
from server.inference.batching.queue import Limits
from server.inference.generation_model import GenerationModel
from server.telemetry.counters import ModelMetrics

SIGNATURE = Signature(
    (TensorSpec("text_input", "BYTES", (-1,)),),
    (TensorSpec("text_output", "BYTES", (-1,)),),
    any_name=True,
    parameters=(Parameter("max_tokens", int), Parameter("temperature", float)),
    whole=True,
    overlaps=True,
    streams=True,
    generates=True,
)


def delta(index: int, text: str, finish: str | None = None, tokens: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return {"deltas": [{"index": index, "text": text, "tokens": list(tokens), "finish": finish}]}


def parts_of(*texts: str) -> list[dict[str, Any]]:
    """Each text in one delta, between the parts that come first and last."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2 * len(texts)}
    deltas = [delta(index, text, "stop") for index, text in enumerate(texts)]
    return [{"prompt_tokens": 3}, *deltas, {"usage": usage}]


class ListedParts:
    """`Parts` of a list; an exception in it is raised. A part with a gate, by its number, waits for that."""

    def __init__(
        self, parts: Sequence[dict[str, Any] | Exception], gates: dict[int, asyncio.Event] | None = None
    ) -> None:
        self._parts = list(parts)
        self.gates = gates or {}
        self._taken = 0
        self.closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if (gate := self.gates.get(self._taken)) is not None:
            await gate.wait()
        if self._taken == len(self._parts):
            raise StopAsyncIteration
        part = self._parts[self._taken]
        self._taken += 1
        if isinstance(part, Exception):
            raise part
        return orjson.dumps(part)

    async def aclose(self) -> None:
        self.closed = True


class ScriptedLanguageModel(Adapter):
    """Answers every job by the same parts, or by a reply."""

    name: ClassVar[str] = "scripted"
    platform: ClassVar[str] = "test"

    def __init__(self, *parts: dict[str, Any] | Exception, reply: Reply | None = None) -> None:
        super().__init__(SIGNATURE)
        self.reply = reply
        self.parts = ListedParts(parts)
        self.jobs: list[dict[str, Any]] = []

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        return cls()

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        raise NotImplementedError

    async def answer(self, request: Request) -> Reply | ReplyStream:
        assert request.protocol == "generation"
        self.jobs.append(orjson.loads(request.body))
        return self.reply or ReplyStream(self.parts, {})


def generation_model(adapter: Adapter) -> GenerationModel:
    return GenerationModel("m", adapter, Limits(), ModelMetrics())
