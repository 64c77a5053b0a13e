"""One model that generates: a job goes in, its parts come out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from adapters.generation.answer_parts import AnswerParts
from adapters.generation.engine import Engine, EngineFull, EngineUsage, Generation, TokenMask, TokenStream
from adapters.generation.grammar import Grammar, GrammarLimits
from adapters.generation.grammar_compiler import GrammarCompiler
from adapters.generation.job import Chat, Job, Prompt
from adapters.generation.prompt_thread import PromptThread
from adapters.generation.prompts import Prompts, Rendered
from adapters.generation.refusal import TOO_LONG, RefusedJob
from adapters.generation.sequence_text import SequenceText
from adapters.generation.told_logprobs import bounded
from adapters.generation.tool_calls import ToolCallReader
from adapters.generation.tool_grammar import grammar_of, unforced
from adapters.shared.texts import portions

_AT_ONCE = 100_000  #: characters of one request that are tokenized before others' are: a tenth of a second
_LARGE = 100_000  #: bytes of a request whose chat waits for others of that size, and no other for it


class Generator:
    """Jobs through one engine, any number at a time, on one event loop."""

    def __init__(
        self, engine: Engine, prompts: Prompts, limits: GrammarLimits | None = None, *, on_processor: bool = True
    ) -> None:
        """`limits` are those of grammars; `on_processor`: the cache lies in the machine's memory, not on a device."""
        self._engine = engine
        self._on_processor = on_processor
        self._prompts = prompts
        self._hidden = prompts.form.hidden(prompts.vocabulary)
        self._grammars = GrammarCompiler(prompts.vocabulary, prompts.end_ids, limits)
        # A long prompt takes a moment, for which the other sequences' tokens would have to wait.
        self._requests = itertools.count()
        self._tokenizing = PromptThread("tokenize", "its tokenizer")
        self._rendering, self._rendering_large = (
            PromptThread(name, "its chat template") for name in ("render", "render-large")
        )
        self._compiling = ThreadPoolExecutor(1, "compile")

    def job(self, fields: Mapping[str, Any]) -> Job:
        """What a request asks, with what the model's own settings say where it says nothing.

        Raises:
            RefusedJob
        """
        return Job.of(fields, self._prompts.defaults)

    async def begin(self, job: Job, size: int = 0) -> AnswerParts:
        """Queue all sequences of a job, of a request of `size` bytes. Whoever gets the parts closes them.

        Raises:
            RefusedJob: it cannot be carried out, or there is no room for it now.
        """
        loop = asyncio.get_running_loop()
        generations: list[Generation] = []
        texts: list[str] = []
        rendered = await self._rendered(job.prompts[0], size)
        for some in portions(map(_size, job.prompts), _AT_ONCE):  # others' prompts come between those of one request
            part = replace(job, prompts=tuple(job.prompts[number] for number in some))
            made, written = await self._tokenizing.run(self._tokenized, part, rendered)
            generations += made
            texts += written
        generations = bounded(job, generations)
        if (grammar := self._grammar(job)) is not None:
            mask = self._grammars.kept(grammar)
            if mask is None:
                mask = await loop.run_in_executor(self._compiling, self._grammars.compile, grammar)
            generations = [
                replace(generation, mask=self._masks(mask, prompt, text))
                for generation, prompt, text in zip(generations, job.prompts, texts, strict=True)
            ]
        sequences: list[tuple[TokenStream, SequenceText]] = []
        number = next(self._requests)
        try:
            for prompt, text, generation in zip(job.prompts, texts, generations, strict=True):
                for each in _choices(replace(generation, request=number), job.n):
                    sequences.append((self._engine.submit(each), self._text(job, each, prompt, text)))
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

    async def _rendered(self, prompt: Prompt, size: int) -> Rendered | None:
        if not isinstance(prompt, Chat):
            return None
        thread = self._rendering_large if size > _LARGE else self._rendering
        return await thread.run(self._prompts.rendered, prompt)

    def _tokenized(self, job: Job, rendered: Rendered | None) -> tuple[list[Generation], list[str]]:
        """What the engine is given, and of chats what the prompt has begun of the answer."""
        generations = self._prompts.generations(job, rendered)
        form, vocabulary = self._prompts.form, self._prompts.vocabulary
        texts = [
            form.prompt_text(vocabulary, generation.prompt) if isinstance(prompt, Chat) else ""
            for generation, prompt in zip(generations, job.prompts, strict=True)
        ]
        return generations, texts

    def _grammar(self, job: Job) -> Grammar | None:
        """What the texts have to be like.

        Raises:
            RefusedJob: the model's answers take no grammar.
        """
        chat = job.prompts[0]
        if not isinstance(chat, Chat):
            return job.grammar
        template, form = self._prompts.template, self._prompts.form
        if template.writes_calls or not chat.tools:
            functions, limits = template.writes_functions, self._grammars.limits
            found = grammar_of(chat, job.grammar, as_functions=functions, limits=limits)
        else:
            found = unforced(chat, job.grammar)
        if found is not None and form.has_frame:
            raise found.refused(
                "the model's answers stand between marks of its own (response_template), where no grammar begins: "
                "leave it out"
            )
        return found

    def _masks(self, make: Callable[[], TokenMask], prompt: Prompt, text: str) -> Callable[[], TokenMask]:
        if not isinstance(prompt, Chat):
            return make
        return self._prompts.form.after_reasoning(make, text, self._prompts.vocabulary, self._prompts.end_ids)

    def _text(self, job: Job, generation: Generation, prompt: Prompt, text: str) -> SequenceText:
        """`text`: of the prompt."""
        vocabulary, form, told = self._prompts.vocabulary, self._prompts.form, job.logprobs is not None
        if isinstance(prompt, Chat):
            tools = ToolCallReader(prompt.tools) if prompt.tools and not form.reads_calls else None
            return SequenceText(
                vocabulary,
                job.stop,
                told=told,
                tools=tools,
                parallel_calls=prompt.parallel_calls,
                reader=form.reader(text, prompt.tools),
                hidden=self._hidden,
            )
        before = () if generation.prompt_logprobs else generation.prompt
        return SequenceText(vocabulary, job.stop, told=told, before=before, echo=job.echo)

    def usage(self) -> EngineUsage:
        """What the engine holds at this moment; those wait, too, whose prompts take long to be made."""
        usage = self._engine.usage()
        stuck = next(filter(None, (thread.stuck for thread in self._prompt_threads)), "")
        long = sum(thread.is_long for thread in self._prompt_threads)
        return replace(usage, waiting=usage.waiting + long, failed=usage.failed or stuck)

    @property
    def _prompt_threads(self) -> tuple[PromptThread, ...]:
        return self._rendering, self._rendering_large, self._tokenizing

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
        for thread in self._prompt_threads:
            thread.close()
        self._compiling.shutdown(wait=False)
        self._grammars.close()


def _size(prompt: Prompt) -> int:
    """Characters, or ids; a chat is the only prompt of its request."""
    return 0 if isinstance(prompt, Chat) else len(prompt)


def _choices(generation: Generation, n: int) -> Iterator[Generation]:
    """The same sequence n times; a seed makes them different ones, and the same ones again."""
    seed = generation.sampling.seed
    for number in range(n):
        if seed is None or not number:
            yield generation
        else:
            yield replace(generation, sampling=replace(generation.sampling, seed=(seed + number) % 2**63))
