"""Which engine a model gets, and how much memory."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.generation.engines import cache_limit, engine_for, memory_bytes
from tests.adapters.generation.models import CONFIGURATIONS


def model_of(name: str) -> Any:
    import transformers

    return transformers.AutoModelForCausalLM.from_config(CONFIGURATIONS[name]()).eval()


def test_caches_hold_some_sequences_or_a_share_of_the_memory_and_one_in_any_case() -> None:
    assert cache_limit(100, memory=1_000_000) == 800
    assert cache_limit(100, memory=2000) == 500
    assert cache_limit(100, memory=40) == 100
    assert memory_bytes() > 2**20


def test_options_reach_the_engine() -> None:
    engine: Any = engine_for(model_of("Llama"), 64, {"max_queue": 3, "cache_bytes": 10**6, "prefill_chunk": 5})
    try:
        assert engine.usage().cache_limit == 10**6
        assert engine.max_waiting == 3
    finally:
        engine.close()


def test_what_slots_cannot_hold_goes_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    import transformers

    settings = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 97, "state_size": 8}
    model = transformers.MambaForCausalLM(transformers.MambaConfig(**settings)).eval()
    engine = engine_for(model, 64, {"max_queue": 3})
    engine.close()
    assert type(engine).__name__ == "SequentialEngine"
    assert "one request at a time" in capsys.readouterr().out
