"""How much memory the caches of a model may take."""

from __future__ import annotations

from types import SimpleNamespace

from adapters.generation.cache_memory import bytes_of_context, cache_limit
from tests.adapters.generation.models import CONFIGURATIONS


def test_some_sequences_or_a_share_of_the_memory_and_one_in_any_case() -> None:
    assert cache_limit(100, memory=1_000_000) == 800
    assert cache_limit(100, memory=2000) == 500
    assert cache_limit(100, memory=40) == 100
    assert cache_limit(0, memory=2000) == 500


def test_what_a_sequence_takes() -> None:
    # keys and values of two layers, two heads (GPT-2: four), eight numbers of four bytes, a quarter more than 8 tokens
    assert bytes_of_context(CONFIGURATIONS["Llama"](), 4, 8) == 2 * 2 * 2 * 8 * 4 * 10
    assert bytes_of_context(CONFIGURATIONS["GPT2"](), 4, 8) == 2 * 2 * 4 * 8 * 4 * 10
    assert bytes_of_context(SimpleNamespace(hidden_size=32, num_hidden_layers=2), 4, 10) == 0
