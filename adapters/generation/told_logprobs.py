"""How many log-probabilities one request may be told: each is an object of some hundred bytes of JSON, and five times
that in memory, which a client who reads slowly, or not at all, leaves there.

128 times a prompt of 8,000 tokens with 20 alternatives each would be 20 million.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapters.generation.engine import Generation
from adapters.generation.job import Job
from adapters.generation.refusal import RefusedJob

_MOST = 1_000_000  #: 47,000 tokens with 20 alternatives, 500,000 with one


def bounded(job: Job, generations: Sequence[Generation]) -> list[Generation]:
    """A generation a prompt; where the job does not say how many tokens it wants, with no more than may be told of.

    Raises:
        RefusedJob: it asks for more.
    """
    if job.logprobs is None:
        return list(generations)
    each = (1 + job.logprobs) * job.n
    tokens = sum(len(generation.prompt) for generation in generations if generation.prompt_logprobs)
    if job.max_tokens is not None:
        tokens += job.max_tokens * len(generations)
    if tokens * each > _MOST:
        raise RefusedJob(
            f"logprobs: of {tokens} tokens with {job.logprobs} alternatives each, for n of {job.n}, there would be "
            f"{tokens * each} log-probabilities, and {_MOST} are told in one answer: ask for fewer by max_tokens, "
            "logprobs or n, send fewer prompts, or do without echo",
            "logprobs",
        )
    if job.max_tokens is not None:
        return list(generations)
    share = max(1, (_MOST - tokens * each) // (each * len(generations)))
    return [replace(generation, max_tokens=min(generation.max_tokens, share)) for generation in generations]
