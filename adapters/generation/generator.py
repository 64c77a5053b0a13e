"""One model that generates: a job goes in, its parts come out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from adapters.generation.answer_parts import AnswerParts
from adapters.generation.engine import Engine, EngineFull, EngineUsage, Generation, TokenStream
from adapters.generation.grammar import Grammar, GrammarLimits
from adapters.generation.grammar_compiler import GrammarCompiler
from adapters.generation.job import Chat, Job, Prompt
from adapters.generation.prompts import Prompts
from adapters.generation.refusal import TOO_LONG, RefusedJob
from adapters.generation.sequence_text import SequenceText
from adapters.generation.tool_calls import ToolCallReader
from adapters.generation.tool_grammar import grammar_of


class Generator:
    """Jobs through one engine, any number at a time, on one event loop."""

    def __init__(
        self, engine: Engine, prompts: Prompts, limits: GrammarLimits | None = None, *, on_processor: bool = True
    ) -> None:
        """`limits` are those of grammars; `on_processor`: the cache lies in the machine's memory, not on a device."""
        self._engine = engine
        self._on_processor = on_processor
        self._prompts = prompts
        self._grammars = GrammarCompiler(prompts.vocabulary, prompts.end_ids, limits)
        # A long prompt takes a moment, for which the other sequences' tokens would have to wait.
        self._tokenizing = ThreadPoolExecutor(1, "tokenize")
        self._compiling = ThreadPoolExecutor(1, "compile")

    def job(self, fields: Mapping[str, Any]) -> Job:
        """What a request asks, with what the model's own settings say where it says nothing.

        Raises:
            RefusedJob
        """
        return Job.of(fields, self._prompts.defaults)

    async def begin(self, job: Job) -> AnswerParts:
        """Queue all sequences of a job. Whoever gets the parts closes them.

        Raises:
            RefusedJob: it cannot be carried out, or there is no room for it now.
        """
        loop = asyncio.get_running_loop()
        generations = await loop.run_in_executor(self._tokenizing, self._prompts.generations, job)
        if (grammar := self._grammar(job)) is not None:
            mask = self._grammars.kept(grammar)
            mask = mask or await loop.run_in_executor(self._compiling, self._grammars.compile, grammar)
            generations = [replace(generation, mask=mask) for generation in generations]
        sequences: list[tuple[TokenStream, SequenceText]] = []
        try:
            for prompt, generation in zip(job.prompts, generations, strict=True):
                for each in _choices(generation, job.n):
                    sequences.append((self._engine.submit(each), self._text(job, each, prompt)))
        except BaseException as error:
            for tokens, _ in sequences:
                await tokens.aclose()
            if isinstance(error, EngineFull):
                raise RefusedJob(
                    f"the model has no room for more requests: {error}", None, "queue_full", 429
                ) from error
            if isinstance(error, ValueError):
                raise RefusedJob(str(error), None, TOO_LONG) from error
            raise
        size = sum(len(generation.prompt) for generation in generations)
        first = [tokens for tokens, _ in sequences[:: job.n]]  # a prompt counts once, however many choices are made
        return AnswerParts(
            sequences, size, stream=job.stream, cached_tokens=lambda: sum(tokens.cached_tokens for tokens in first)
        )

    def _grammar(self, job: Job) -> Grammar | None:
        """What the texts have to be like."""
        chat = job.prompts[0]
        if not isinstance(chat, Chat):
            return job.grammar
        return grammar_of(chat, job.grammar, as_functions=self._prompts.template.writes_functions)

    def _text(self, job: Job, generation: Generation, prompt: Prompt) -> SequenceText:
        vocabulary, told = self._prompts.vocabulary, job.logprobs is not None
        if isinstance(prompt, Chat):
            tools = ToolCallReader(prompt.tools) if prompt.tools else None
            return SequenceText(vocabulary, job.stop, told=told, tools=tools, parallel_calls=prompt.parallel_calls)
        before = () if generation.prompt_logprobs else generation.prompt
        return SequenceText(vocabulary, job.stop, told=told, before=before, echo=job.echo)

    def usage(self) -> EngineUsage:
        """What the engine holds at this moment."""
        return self._engine.usage()

    @property
    def takes_chats(self) -> bool:
        """Whether it has a template for conversations."""
        return self._prompts.template.takes_greetings

    @property
    def reserve_bytes(self) -> int:
        """Memory of the machine that the cache may come to take."""
        return self._engine.usage().cache_limit if self._on_processor else 0

    def close(self) -> None:
        self._engine.close()
        self._tokenizing.shutdown(wait=False)
        self._compiling.shutdown(wait=False)
        self._grammars.close()


def _choices(generation: Generation, n: int) -> Iterator[Generation]:
    """The same sequence n times; a seed makes them different ones, and the same ones again."""
    seed = generation.sampling.seed
    for number in range(n):
        if seed is None or not number:
            yield generation
        else:
            yield replace(generation, sampling=replace(generation.sampling, seed=(seed + number) % 2**63))
