"""How much memory the caches of a model may take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.generation import cache_memory
from adapters.generation.cache_memory import bytes_of_context, cache_limit, memory_of
from adapters.shared import memory
from tests.adapters.generation.models import CONFIGURATIONS


def test_some_sequences_or_a_share_of_the_memory_and_one_in_any_case() -> None:
    assert cache_limit(100, memory=1_000_000) == 800
    assert cache_limit(100, memory=2000) == 500
    assert cache_limit(100, memory=300) == 100
    assert cache_limit(100, memory=40) == 20, "but never more than half of it"
    assert cache_limit(0, memory=2000) == 500


def test_the_memory_that_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache_memory.BUDGET, raising=False)
    group = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CGROUP", group)
    whole = memory_of()
    assert whole > 2**20
    for text, found in (("max", whole), ("1000000", 1_000_000), (str(2**62), whole)):
        group.write_text(text)
        assert memory_of() == found
    group.write_text("1000000")
    for budget, found in (("5000", 5000), ("2000000", 1_000_000)):
        monkeypatch.setenv(cache_memory.BUDGET, budget)
        assert memory_of() == found


def test_what_a_sequence_takes() -> None:
    # keys and values of two layers, two heads (GPT-2: four), eight numbers of four bytes, a quarter more than 8 tokens
    assert bytes_of_context(CONFIGURATIONS["Llama"](), 4, 8) == 2 * 2 * 2 * 8 * 4 * 10
    assert bytes_of_context(CONFIGURATIONS["GPT2"](), 4, 8) == 2 * 2 * 4 * 8 * 4 * 10
    assert bytes_of_context(SimpleNamespace(hidden_size=32, num_hidden_layers=2), 4, 10) == 0
