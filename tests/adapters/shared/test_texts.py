"""Portions of text."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from adapters.shared.texts import portions


@pytest.mark.parametrize("seed", range(20))
def test_portions_hold_every_row_once_and_no_more_than_they_may(seed: int) -> None:
    rng = random.Random(seed)
    lengths = [rng.choice([0, 1, 5, 20, 99, 100, 101, 5000]) for _ in range(rng.randrange(60))]
    found = list(portions(lengths, 100))
    assert [row for portion in found for row in portion] == list(range(len(lengths)))
    for portion in found:
        assert len(portion) == 1 or sum(lengths[row] for row in portion) <= 100
    for portion, after in pairwise(found):
        assert sum(lengths[row] for row in portion) + lengths[after[0]] > 100
