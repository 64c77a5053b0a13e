"""From a job to what a program is asked: one request a sequence, always as a stream.

A sequence each, as engines of ours have them: neighbours of one request end, fail and are given up by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapters.generation.engine import Sampling
from adapters.generation.job import Chat, Job, Prompt
from adapters.generation.refusal import RefusedJob
from adapters.upstream.program import ServingProgram

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
_COMPLETION_TOKENS = 16  #: of a completion that does not say how many, as OpenAI has it
_MOST_SEED = 2**63


def requests_of(job: Job, program: ServingProgram, served_name: str) -> list[tuple[str, dict[str, Any]]]:
    """Route and body for each sequence of a job: all of the first prompt, then those of the next.

    Raises:
        RefusedJob: the program has no word for what is asked.
    """
    if job.max_tokens == 0 and not job.echo:
        raise RefusedJob(
            "max_tokens is 0, so there is nothing to answer: ask for one at least, or for echo", "max_tokens"
        )
    return [
        (CHAT if isinstance(prompt, Chat) else COMPLETION, _body(job, prompt, number, program, served_name))
        for prompt in job.prompts
        for number in range(job.n)
    ]


def _body(job: Job, prompt: Prompt, number: int, program: ServingProgram, served_name: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": served_name, "stream": True, "stream_options": {"include_usage": True}}
    fields.update(_chat(prompt) if isinstance(prompt, Chat) else _completion(job, prompt))
    fields.update(_drawn(job.sampling, number))
    if job.max_tokens is not None:
        fields["max_tokens"] = job.max_tokens
    if job.stop:
        fields["stop"] = list(job.stop)
    if job.stop_ids:
        fields["stop_token_ids"] = list(job.stop_ids)
    if job.ignore_eos:
        fields["ignore_eos"] = True
    if job.logprobs is not None:
        told = {"logprobs": True, "top_logprobs": job.logprobs}
        fields.update(told if isinstance(prompt, Chat) else {"logprobs": job.logprobs})
    return program.body(fields, job.grammar)


def _chat(chat: Chat) -> Iterator[tuple[str, Any]]:
    yield "messages", chat.messages
    if chat.template_values:
        yield "chat_template_kwargs", chat.template_values
    if chat.effort:
        yield "reasoning_effort", chat.effort
    if not chat.tools:
        return
    yield "tools", chat.tools
    yield "parallel_tool_calls", chat.parallel_calls
    if chat.required_tool:
        yield "tool_choice", {"type": "function", "function": {"name": chat.required_tool}}
    else:
        yield "tool_choice", "required" if chat.needs_call else "auto"


def _completion(job: Job, prompt: str | tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    yield "prompt", prompt if isinstance(prompt, str) else list(prompt)
    yield "max_tokens", _COMPLETION_TOKENS
    if job.echo:
        yield "echo", True


def _drawn(sampling: Sampling, number: int) -> Iterator[tuple[str, Any]]:
    """What differs from the neutral; a program's own choices (llama.cpp's top_k of 40, say) are not the client's."""
    yield "temperature", sampling.temperature
    yield "top_p", sampling.top_p
    yield "min_p", sampling.min_p
    yield "top_k", sampling.top_k
    for name in ("presence_penalty", "frequency_penalty"):
        if value := getattr(sampling, name):
            yield name, value
    if sampling.repetition_penalty != 1.0:
        yield "repetition_penalty", sampling.repetition_penalty
    if sampling.logit_bias:
        yield "logit_bias", {str(token): bias for token, bias in sampling.logit_bias.items()}
    if sampling.seed is not None:
        yield "seed", (sampling.seed + number) % _MOST_SEED
