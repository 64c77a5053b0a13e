"""From logits to events: who fails fails alone, and logprobs are of the model's own distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from adapters.generation.engine import Finish, Generation, Sampling, TokenEvent
from adapters.generation.next_tokens import next_events
from adapters.generation.sampler import RowSampler
from tests.adapters.generation.masks import by

SIZE = 10


@dataclass
class Going:
    generation: Generation
    made: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sampler = RowSampler(self.generation, SIZE, self.generation.prompt, "cpu")


def going(**fields: Any) -> Going:
    return Going(Generation(prompt=[1], max_tokens=fields.pop("max_tokens", 5), **fields))


def rows(*likeliest: int) -> torch.Tensor:
    logits = torch.zeros(len(likeliest), SIZE)
    for row, token in zip(logits, likeliest, strict=True):
        row[token] = 4.0
    return logits


def test_tokens_are_noted_and_say_why_they_are_the_last() -> None:
    sequences = [going(), going(stop_ids=frozenset({4})), going(max_tokens=1)]
    events = next_events(rows(3, 4, 0), sequences)
    assert events == [TokenEvent(3), TokenEvent(4, finish=Finish.STOP), TokenEvent(0, finish=Finish.LENGTH)]
    assert [each.made for each in sequences] == [[3], [4], [0]]


def test_logprobs_are_those_before_penalties_bias_and_mask() -> None:
    logits = rows(3)
    asked = going(logprobs=2, sampling=Sampling(logit_bias={3: -100.0, 6: 1.0}))
    [event] = next_events(logits, [asked])
    assert isinstance(event, TokenEvent)
    own = rows(3)[0].log_softmax(-1)
    assert (event.token, event.logprob, event.top[0]) == (6, float(own[6]), (3, float(own[3])))
    assert torch.equal(logits, rows(3))


def test_masks_and_rows_that_fail_leave_the_others_alone() -> None:
    def fails(made: Sequence[int], row: Any) -> None:
        raise LookupError("no such state")

    logits = rows(3, 4, 5, 6)
    logits[2] = torch.nan
    sequences = [going(), going(mask=by(fails)), going(), going()]
    first, masked, broken, last = next_events(logits, sequences)
    assert [first, last] == [TokenEvent(3), TokenEvent(6)]
    assert isinstance(masked, LookupError)
    assert isinstance(broken, ValueError)
    assert [each.made for each in sequences] == [[3], [], [], [6]]


def test_all_may_fail() -> None:
    [event] = next_events(rows(3), [going(mask=by(lambda made, row: row.fill_(-torch.inf)))])
    assert isinstance(event, ValueError)
