"""The loads and ways of bench.generation, in small: the same tokens in slots and one by one."""

from __future__ import annotations

import pytest

from bench.generation import in_slots, one_by_one, prompts, small_llama


@pytest.mark.slow
def test_both_ways_make_the_same_tokens() -> None:
    model, given = small_llama(32, 2), prompts(3, 5)
    assert [len(prompt) for prompt in given] == [5, 6, 7]
    made = in_slots(model, given, 6)
    assert made == one_by_one(model, given, 6)
    assert [len(answer) for answer in made] == [6, 6, 6]
