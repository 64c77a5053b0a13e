"""Each row's own draw: cuts and penalties as transformers has them, one generator, rows that know no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from adapters.generation.engine import Generation, Sampling
from adapters.generation.sampler import RowSampler, draw
from tests.adapters.generation.masks import by

SIZE = 300


def sampler(vocabulary: int = SIZE, prompt: Sequence[int] = (1, 2, 3), mask: Any = None, **sampling: Any) -> RowSampler:
    generation = Generation(prompt=prompt, max_tokens=9, sampling=Sampling(**sampling), mask=mask)
    return RowSampler(generation, vocabulary, prompt, "cpu")


def logits(rows: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, SIZE, generator=torch.Generator().manual_seed(seed)) * 3


def frequencies(row: torch.Tensor, draws: int, **sampling: Any) -> torch.Tensor:
    own = sampler(len(row), seed=5, **sampling)
    return torch.bincount(torch.tensor([draw(row[None], [own])[0] for _ in range(draws)]), minlength=len(row)) / draws


WARPERS = {
    "temperature": {"temperature": 0.7},
    "top_k": {"temperature": 1.0, "top_k": 40},
    "top_p": {"temperature": 1.0, "top_p": 0.8},
    "top_p of many": {"temperature": 4.0, "top_p": 0.97},
    "min_p": {"temperature": 1.0, "min_p": 0.05},
    "all": {"temperature": 1.4, "top_k": 100, "top_p": 0.9, "min_p": 0.02},
    "the likeliest alone": {"temperature": 1.0, "top_p": 0.0001},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WARPERS)
def test_what_is_cut_and_how_likely_the_rest_is_are_as_in_transformers(kind: str) -> None:
    """Every chance is laid on a grid: how much of it falls on each token is that token's probability."""
    settings = WARPERS[kind]
    warpers = LogitsProcessorList([TemperatureLogitsWarper(settings["temperature"])])
    if "top_k" in settings:
        warpers.append(TopKLogitsWarper(int(settings["top_k"])))
    if "top_p" in settings:
        warpers.append(TopPLogitsWarper(settings["top_p"]))
    if "min_p" in settings:
        warpers.append(MinPLogitsWarper(settings["min_p"]))
    row = logits()
    expected = warpers(torch.tensor([[0]]), row.clone()).softmax(-1)[0]
    own = sampler(**settings)
    grid = iter([(step + 0.5) / 1000 for step in range(1000)])
    own.chance = lambda: next(grid)  # type: ignore[method-assign]
    found = torch.bincount(torch.tensor([draw(row, [own])[0] for _ in range(1000)]), minlength=SIZE) / 1000
    assert (found - expected).abs().max() < 1 / 500
    assert not found[expected == 0].any()


def test_draws_follow_the_probabilities() -> None:
    row = torch.tensor([1.0, 0.0, 2.0, -1.0])
    assert torch.allclose(frequencies(row, 1000, temperature=1.0), row.softmax(-1), atol=0.06)


@pytest.mark.parametrize("made", [[], [7, 7, 8]])
def test_the_repetition_penalty_is_that_of_transformers(made: list[int]) -> None:
    own = sampler(prompt=[1, 2, 2], repetition_penalty=1.3)
    for token in made:
        own.note(token)
    row = logits()
    expected = RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([[1, 2, 2, *made]]), row.clone())
    own.change(row[0])
    assert torch.equal(row, expected)


def test_the_other_penalties_are_those_of_openai_and_of_the_answer_alone() -> None:
    own = sampler(presence_penalty=0.5, frequency_penalty=0.25, logit_bias={4: -100.0, 8: 1.0})
    for token in (7, 7, 8):
        own.note(token)
    row, before = logits()[0], logits()[0]
    own.change(row)
    changed = {7: -0.5 - 2 * 0.25, 8: -0.5 - 0.25 + 1, 4: -100.0}
    for token in range(12):
        assert row[token] == pytest.approx(float(before[token]) + changed.get(token, 0), abs=1e-5)


def test_a_mask_sees_what_was_made_and_changes_the_row() -> None:
    def only_nine(made: Sequence[int], row: torch.Tensor) -> None:
        assert made == [5]
        row[:9] = row[10:] = -torch.inf

    own = sampler(mask=by(only_nine), temperature=1.0)
    rows = logits()
    own.note(5)
    own.change(rows[0])
    assert draw(rows, [own]) == [9]


def test_a_mask_that_leaves_nothing_is_refused() -> None:
    own = sampler(mask=by(lambda made, row: row.fill_(-torch.inf)))
    with pytest.raises(ValueError, match="leaves no token"):
        own.change(logits()[0])


def test_a_row_is_drawn_the_same_beside_others_and_with_other_last_bits() -> None:
    kinds: list[dict[str, Any]] = [{}, {"top_k": 50}, {"top_p": 0.9}, {"min_p": 0.01}]

    def samplers() -> list[RowSampler]:
        return [sampler(temperature=1.0, seed=number, **kinds[number % 4]) for number in range(31)] + [sampler()]

    rows = logits(32)
    noisy = rows + torch.randn(rows.shape, generator=torch.Generator().manual_seed(9)) * 1e-6
    alone = [draw(row[None], [own])[0] for row, own in zip(rows, samplers(), strict=True)]
    assert draw(noisy, samplers()) == alone


def test_a_token_takes_one_chance_whatever_is_cut() -> None:
    plain, cutting = sampler(temperature=1.0, seed=3), sampler(temperature=1.0, seed=3, top_k=9, top_p=0.5)
    for seed in range(3):
        draw(logits(2, seed), [plain, cutting])
    assert plain.chance() == cutting.chance()


def test_the_default_seed_is_no_constant() -> None:
    assert sampler(temperature=1.0).chance() != sampler(temperature=1.0).chance()
    assert sampler(seed=-1).chance() == sampler(seed=-1).chance()


def test_what_is_no_number_is_refused_before_anything_is_drawn() -> None:
    rows = logits(2)
    rows[1, 5] = torch.nan
    own = sampler(temperature=1.0, seed=1)
    with pytest.raises(ValueError, match="not numbers"):
        draw(rows, [own, sampler()])
    assert own.chance() == sampler(seed=1).chance()


def test_rows_that_nothing_changes_are_known() -> None:
    assert not sampler(temperature=1.0, top_k=3).changes_rows
    for setting in ({"logit_bias": {1: 2.0}}, {"repetition_penalty": 1.1}, {"presence_penalty": 0.1}):
        assert sampler(**setting).changes_rows


@pytest.mark.parametrize("cut", [{}, {"top_k": 5}, {"top_p": 0.9}])
def test_whatever_is_colder_than_numbers_can_tell_is_greedy(cut: dict[str, Any]) -> None:
    rows = logits()
    assert draw(rows, [sampler(temperature=1e-45, **cut)]) == rows.argmax(-1).tolist()
