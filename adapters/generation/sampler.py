"""The next token of each row of logits. What a row draws depends on nothing but that row and its own generator.

Draws go along the cumulated probabilities in the order of the vocabulary. Logits that differ in their last bits, as
they do with other neighbours in a batch, then move a boundary by as little; an order by likelihood could swap tokens.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any

import torch

from adapters.generation.engine import Generation, Sampling

#: that many likeliest tokens usually hold all of `top_p`
_LIKELIEST = 256
#: colder than this, scores are no numbers of float32 any more, and all are as good as greedy
_COLDEST = 1e-6


class RowSampler:
    """Of one sequence: how its rows are changed and drawn from.

    `counted_prompt` is what the repetition penalty counts beside the answer.
    """

    def __init__(self, generation: Generation, vocabulary: int, counted_prompt: Sequence[int], device: Any) -> None:
        self.sampling = generation.sampling
        self.greedy = self.sampling.temperature == 0
        self._mask = None if generation.mask is None else generation.mask()
        self._generator = _generator(self.sampling.seed)
        self._bias = _bias(self.sampling, vocabulary, device)
        self._seen: torch.Tensor | None = None  #: bool [vocabulary]: of prompt and answer
        self._made: torch.Tensor | None = None  #: float32 [vocabulary]: how often, of the answer
        if self.sampling.repetition_penalty != 1:
            self._seen = torch.zeros(vocabulary, dtype=torch.bool, device=device)
            self._seen[torch.tensor(counted_prompt, dtype=torch.long, device=device)] = True
        if self.sampling.presence_penalty or self.sampling.frequency_penalty:
            self._made = torch.zeros(vocabulary, device=device)

    @property
    def changes_rows(self) -> bool:
        return any(each is not None for each in (self._bias, self._seen, self._made, self._mask))

    def is_ready(self, patience: float = 0.0) -> bool:
        """Whether its mask, if it has one, is there by now or within so many seconds: else `change` waits for it."""
        return self._mask is None or self._mask.is_ready(patience)

    def change(self, row: torch.Tensor) -> None:
        """Penalties, bias and mask, in place; float32 [vocabulary].

        Raises:
            ValueError: the mask has left no token. And whatever the mask raises.
        """
        sampling = self.sampling
        if self._seen is not None:
            scaled = torch.where(row < 0, row * sampling.repetition_penalty, row / sampling.repetition_penalty)
            row.copy_(torch.where(self._seen, scaled, row))
        if self._made is not None:
            row -= sampling.presence_penalty * (self._made > 0) + sampling.frequency_penalty * self._made
        if self._bias is not None:
            row += self._bias
        if self._mask is not None:
            self._mask.apply(row)
            if row.max() == -torch.inf:
                raise ValueError("the mask leaves no token that could follow")

    def note(self, token: int) -> None:
        """It has been drawn."""
        if self._seen is not None:
            self._seen[token] = True
        if self._made is not None:
            self._made[token] += 1
        if self._mask is not None:
            self._mask.advance(token)

    def chance(self) -> float:
        """In [0, 1): the one number that a token is drawn with."""
        return float(torch.rand((), dtype=torch.float64, generator=self._generator))


def draw(logits: torch.Tensor, samplers: Sequence[RowSampler]) -> list[int]:
    """A token for each row of float32 [rows, vocabulary]. Greedy rows are never sorted or normalised.

    Raises:
        ValueError: a row is not of numbers. Nothing has been drawn then.
    """
    likeliest = logits.argmax(-1)
    if logits.gather(-1, likeliest[:, None]).isnan().any():  # one that is no number counts as the largest
        raise ValueError("the model's logits are not numbers")
    tokens: list[int] = likeliest.tolist()
    drawing = [number for number, sampler in enumerate(samplers) if not sampler.greedy]
    plain = [number for number in drawing if not _cuts(samplers[number].sampling)]
    if plain:
        heat = [max(samplers[number].sampling.temperature, _COLDEST) for number in plain]
        scores = logits[plain] / torch.tensor(heat, device=logits.device)[:, None]
        drawn = _along(scores, [samplers[number].chance() for number in plain])
        for number, token in zip(plain, drawn.tolist(), strict=True):
            tokens[number] = token
    for number in drawing:
        sampling = samplers[number].sampling
        if _cuts(sampling):
            ids, left = _cut(logits[number] / max(sampling.temperature, _COLDEST), sampling)
            tokens[number] = int(ids[_along(left[None], [samplers[number].chance()])])
    return tokens


def _along(scores: torch.Tensor, chances: Sequence[float]) -> torch.Tensor:
    """In each row of float32 [rows, size], where the chance falls among the cumulated probabilities: [rows]."""
    cumulated = scores.softmax(-1).cumsum(-1, dtype=torch.float64)
    aim = torch.tensor(chances, dtype=torch.float64, device=scores.device)[:, None] * cumulated[:, -1:]
    # the first place that lies beyond the aim: one of probability zero never does
    return torch.searchsorted(cumulated, aim, right=True)[:, 0].clamp_(max=scores.shape[-1] - 1)


def _cuts(sampling: Sampling) -> bool:
    return bool(sampling.top_k) or sampling.top_p < 1 or sampling.min_p > 0


def _cut(scores: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """What top_k, top_p and min_p leave of a row: ids in the order of the vocabulary, and their scores.

    In this order and each of what the one before has left, as transformers has it.
    """
    if sampling.top_k or sampling.top_p < 1:
        kept, ids = _likeliest(scores, sampling)
    else:
        kept, ids = scores, torch.arange(len(scores), device=scores.device)
    if sampling.min_p > 0:
        likely = kept >= kept.max() + math.log(sampling.min_p)
        kept, ids = kept[likely], ids[likely]
    ids, order = ids.sort()
    return ids, kept[order]


def _likeliest(scores: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """What top_k and top_p leave, the likeliest first: scores and ids."""
    count = min(sampling.top_k or len(scores), len(scores))
    if sampling.top_p == 1:
        kept, ids = scores.topk(count)
        return kept, ids
    if count < len(scores):
        kept, ids = scores.topk(count)
        shares = kept.softmax(-1)
    else:
        kept, ids, shares = _holding(scores, sampling.top_p)
    before = shares.cumsum(-1, dtype=torch.float64) - shares
    before[0] = -1  # the likeliest stays, whatever top_p is
    return kept[before < sampling.top_p], ids[before < sampling.top_p]


def _holding(scores: torch.Tensor, share: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """So many of a row, the likeliest first, that they hold that share of all: scores, ids and their shares.

    A few of a large vocabulary nearly always do; to sort 50,000 takes 5 ms.
    """
    whole, few = scores.logsumexp(-1), _LIKELIEST
    while True:
        kept, ids = scores.topk(min(few, len(scores)))
        shares = (kept - whole).exp()
        if few >= len(scores) or shares.sum() > share:
            return kept, ids, shares
        few *= 16


def _generator(seed: int | None) -> torch.Generator:
    """On the CPU always: the same seed draws the same everywhere."""
    generator = torch.Generator()
    generator.manual_seed(secrets.randbits(63) if seed is None else seed & (1 << 63) - 1)
    return generator


def _bias(sampling: Sampling, vocabulary: int, device: Any) -> torch.Tensor | None:
    if not sampling.logit_bias:
        return None
    bias = torch.zeros(vocabulary, device=device)
    ids = torch.tensor(list(sampling.logit_bias), dtype=torch.long, device=device)
    bias[ids] = torch.tensor(list(sampling.logit_bias.values()), dtype=torch.float32, device=device)
    return bias
