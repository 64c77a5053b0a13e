"""The parts of a job that a program carries out: tokens as it counts them, and closed once."""

from __future__ import annotations

import asyncio

from adapters.upstream.upstream_events import ProgramEvent
from adapters.upstream.upstream_parts import UpstreamParts
from adapters.upstream.upstream_text import UpstreamText


def test_a_prompt_counts_once_however_many_choices_are_made() -> None:
    async def run() -> None:
        texts = [UpstreamText("vllm") for _ in range(4)]
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
        for text in texts:
            text.push(ProgramEvent(usage=usage))
        closed: list[str] = []
        parts = UpstreamParts([], 2, lambda: closed.append("closed"), stream=True)
        parts._made = texts
        assert parts._usage() == {"prompt_tokens": 6, "completion_tokens": 8, "cached_tokens": 2}
        await parts.aclose()
        await parts.aclose()
        assert closed == ["closed"]

    asyncio.run(run())
