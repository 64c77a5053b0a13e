"""Log-probabilities of tokens, of the model's own distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.generation.engine import Finish, TokenEvent


def event_of(
    logits: Any, token: int, alternatives: int | None, *, in_prompt: bool = False, finish: Finish | None = None
) -> TokenEvent:
    """A token, as told from the logits (float32 [vocabulary]) that it was drawn from, or that came before it.

    `alternatives` is `Generation.logprobs`: None tells the token alone.
    """
    if alternatives is None:
        return TokenEvent(token, in_prompt=in_prompt, finish=finish)
    logprobs = logits.log_softmax(-1)
    top: tuple[tuple[int, float], ...] = ()
    if alternatives:
        found = logprobs.topk(min(alternatives, len(logprobs)))
        top = tuple(zip(found.indices.tolist(), found.values.tolist(), strict=True))
    return TokenEvent(token, float(logprobs[token]), top, in_prompt, finish)


def prompt_events(logits: Any, tokens: Sequence[int], alternatives: int | None) -> list[TokenEvent]:
    """The same for tokens of a prompt: float32 [tokens, vocabulary], each row that before its token."""
    return [event_of(row, token, alternatives or 0, in_prompt=True) for row, token in zip(logits, tokens, strict=True)]
