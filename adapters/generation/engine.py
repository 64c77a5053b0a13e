"""The contract of an engine: token ids in, token ids out, many requests at once.

An engine knows nothing of texts, templates, stop strings, protocols or tools: that is written once, above it. It runs
in the worker that holds the model; its methods are called on that worker's event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self


class Finish(StrEnum):
    """Why a generation ended; the words are OpenAI's."""

    STOP = "stop"  #: the model's end of sequence, or one of `Generation.stop_ids`
    LENGTH = "length"  #: `Generation.max_tokens`, or the end of the context


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is drawn from the logits; the defaults are greedy, as in transformers' `GenerationConfig`."""

    temperature: float = 0.0  #: 0 takes the likeliest token
    top_k: int = 0  #: 0: all
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0  #: over prompt and answer, as transformers has it
    presence_penalty: float = 0.0  #: over the answer, as OpenAI has it
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    #: one draws a generator of its own for this request, stepped once a token whatever its neighbours do
    seed: int | None = None


class TokenMask(Protocol):
    """Which tokens may follow in one sequence. It works beside the engine: a row whose mask takes long waits alone."""

    def is_ready(self, patience: float = 0.0) -> bool:
        """Whether `apply` returns at once, by now or within so many seconds."""

    def apply(self, row: Any) -> None:
        """Take what may not follow out of a row of logits, float32 [vocabulary], in place. Waits until it is ready.

        Raises:
            Exception: there is no mask; the sequence ends with it.
        """

    def advance(self, token: int) -> None:
        """This one has been drawn; returns at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One sequence to be made. Who submits it has checked it: ids are in the vocabulary, and all fits the context."""

    prompt: Sequence[int]  #: at least one id
    max_tokens: int  #: 0: nothing but the prompt's logprobs
    sampling: Sampling = Sampling()
    stop_ids: frozenset[int] = frozenset()  #: end the sequence and belong to it; the model's own are among them
    logprobs: int | None = None  #: so many alternatives are told with each token; 0: its own alone; None: nothing
    prompt_logprobs: bool = False  #: those of the prompt's tokens come first, in one `TokenEvent` each
    mask: Callable[[], TokenMask] | None = None  #: makes one for each sequence, when its turn has come
    request: int | None = None  #: those of one request take turns with those of others; None: it is one by itself


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token. `logprob` is of the model's distribution before temperature and cuts, as OpenAI has it."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()  #: the likeliest first
    in_prompt: bool = False  #: the first one of a prompt has no logprob
    finish: Finish | None = None  #: set on the last one


@dataclass(frozen=True, slots=True)
class EngineUsage:
    """What an engine holds at this moment."""

    running: int
    waiting: int
    cache_bytes: int
    cache_limit: int
    prefix_hits: int  #: prompt tokens that did not need computing, since the start
    prompt_tokens: int  #: all, since the start
    generated_tokens: int
    running_bytes: int = 0  #: of the cache, that those which run hold; what is more may be given up any time
    preemptions: int = 0  #: sequences that gave their cache to older ones, to be read again later; since the start
    step_seconds: float = 0.0  #: for which the present step has been going on; a step takes much less than a request
    failed: str = ""  #: why its process has to be ended: its thread is, or one before it; "" while it goes on


class TokenStream(Protocol):
    """What becomes of one generation. One task takes and closes it.

    With `max_tokens` of 0 it ends without a token of its own, and no event has a `finish`. Iterating raises what the
    step failed with for this sequence; its neighbours go on.
    """

    cached_tokens: (
        int  #: of the prompt, that were not computed, for another sequence began so; known with the first event
    )

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> TokenEvent: ...

    async def aclose(self) -> None:
        """Give up: the slot is free within one step. To be called in any case."""


class EngineFull(Exception):
    """There is no room in the queue; the client may come again."""


class EngineClosed(Exception):
    """The engine was closed before, or while this was made."""


class Engine(Protocol):
    """A loaded model that generates."""

    def submit(self, generation: Generation) -> TokenStream:
        """Queue it.

        Raises:
            EngineFull: too many wait.
            EngineClosed: it has been closed.
            ValueError: its cache would never fit; or this model has no logprobs of prompts (an encoder reads them).
        """

    def usage(self) -> EngineUsage: ...

    def longest(self) -> int:
        """Tokens of one sequence, prompt and answer, that its cache has room for."""

    def close(self) -> None:
        """Fail what runs and waits with `EngineClosed`, and end the engine's thread; takes as long as a step may."""
