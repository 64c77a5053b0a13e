"""The parts of a job that a program carries out: those of any job, with the tokens as the program counts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters.generation.answer_parts import AnswerParts, reasoning_tokens
from adapters.upstream.upstream_stream import UpstreamStream
from adapters.upstream.upstream_text import UpstreamText


class UpstreamParts(AnswerParts):
    """`adapters.base.Parts`; closing them ends the work."""

    def __init__(
        self,
        sequences: Sequence[tuple[UpstreamStream, UpstreamText]],
        choices: int,
        closed: Callable[[], None],
        *,
        stream: bool,
    ) -> None:
        """`choices` are made of each prompt; `closed` is called once."""
        super().__init__(sequences, 0, stream=stream)
        self._made = [text for _, text in sequences]
        self._choices = choices
        self._on_closed: Callable[[], None] | None = closed

    async def aclose(self) -> None:
        try:
            await super().aclose()
        finally:
            if (closed := self._on_closed) is not None:
                self._on_closed = None
                closed()

    def _usage(self) -> dict[str, int]:
        first = self._made[:: self._choices]  # a prompt counts once, however many choices are made of it
        return {
            "prompt_tokens": sum(text.prompt_tokens for text in first),
            "completion_tokens": sum(text.generated for text in self._made),
            "cached_tokens": sum(text.cached_tokens for text in first),
            **reasoning_tokens(self._made),
        }
