"""Log-probabilities: a token's own, the likeliest ones, and those of a prompt."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest
import torch

from adapters.generation.engine import Finish, Generation, TokenEvent
from adapters.generation.slot_engine import SlotEngine
from adapters.generation.token_logprobs import event_of, prompt_events
from tests.adapters.generation.models import VOCABULARY, events_of, prompt_of, tiny

ROW = torch.tensor([0.0, 2.0, 1.0])


def test_a_token_alone_needs_no_logits() -> None:
    assert event_of(None, 2, None, finish=Finish.STOP) == TokenEvent(2, finish=Finish.STOP)


def test_alternatives_are_the_likeliest_first_and_no_more_than_there_are() -> None:
    own = [float(each) for each in ROW.log_softmax(-1)]
    assert event_of(ROW, 0, 0) == TokenEvent(0, own[0])
    assert event_of(ROW, 0, 2) == TokenEvent(0, own[0], ((1, own[1]), (2, own[2])))
    assert len(event_of(ROW, 0, 9).top) == 3


def test_prompts_are_told_even_without_alternatives() -> None:
    own = [float(each) for each in ROW.log_softmax(-1)]
    assert prompt_events([ROW, ROW], [1, 2], None) == [
        TokenEvent(1, own[1], in_prompt=True),
        TokenEvent(2, own[2], in_prompt=True),
    ]


@pytest.mark.parametrize("tokens", [0, 6])
def test_an_engine_tells_what_a_plain_forward_gives(tokens: int) -> None:
    """Over several parts of the prompt, and not from a cache of somebody who began so."""
    model, prompt = tiny("Llama"), prompt_of(50)
    generation = Generation(prompt=prompt, max_tokens=tokens, logprobs=3, prompt_logprobs=True)
    with closing(SlotEngine(model, cache_limit=1 << 24, prefill_chunk=5)) as engine:
        events = [asyncio.run(events_of(engine, generation)) for _ in range(2)]
        assert engine.usage().prefix_hits == 0
    ids = [event.token for event in events[1]]
    assert (ids[:50], len(ids)) == (prompt, 50 + tokens)
    assert [event.in_prompt for event in events[1]] == [True] * 50 + [False] * tokens
    assert events[1][0] == TokenEvent(prompt[0], in_prompt=True)
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    for event, row in zip(events[1][1:], expected[:-1], strict=True):
        assert event.logprob == pytest.approx(float(row[event.token]), abs=1e-4)
        assert [token for token, _ in event.top] == row.topk(3).indices.tolist()
        assert [logprob for _, logprob in event.top] == pytest.approx(row.topk(3).values.tolist(), abs=1e-4)
    assert max(ids) < VOCABULARY
