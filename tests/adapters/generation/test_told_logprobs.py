"""How many log-probabilities one answer may hold."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.generation import told_logprobs
from adapters.generation.engine import Generation
from adapters.generation.job import Job
from adapters.generation.refusal import RefusedJob
from adapters.generation.told_logprobs import bounded


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_logprobs, "_MOST", 600)


def budgets(prompts: int = 1, **fields: Any) -> list[int]:
    job = Job.of({"prompt": ["one"] * prompts, **fields})
    told = job.echo and job.logprobs is not None
    made = Generation(prompt=[1] * 10, max_tokens=job.max_tokens or 500, prompt_logprobs=told)
    return [each.max_tokens for each in bounded(job, [made] * prompts)]


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": 2, "max_tokens": 201},
        {"logprobs": 2, "max_tokens": 21, "n": 10},
        {"logprobs": 2, "max_tokens": 101, "prompts": 2},
        {"logprobs": 20, "max_tokens": 1, "echo": True, "n": 3},
        {"logprobs": 20, "echo": True, "n": 3},
    ],
)
def test_more_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RefusedJob, match="and 600 are told in one answer: ask for fewer by max_tokens") as caught:
        budgets(**fields)
    assert caught.value.param == "logprobs"


def test_who_does_not_say_how_many_tokens_gets_as_many_as_may_be_told_of() -> None:
    assert budgets(logprobs=2) == [200]
    assert budgets(logprobs=2, n=2, prompts=2) == [50, 50]
    assert budgets(logprobs=20, echo=True) == [18]
    assert budgets(logprobs=20, n=128) == [1]


def test_what_fits_stays_as_it_is() -> None:
    assert budgets(logprobs=2, max_tokens=200) == [200]
    assert budgets(logprobs=2, max_tokens=90, echo=True, prompts=2) == [90, 90]
    assert budgets() == budgets(echo=True) == [500]
