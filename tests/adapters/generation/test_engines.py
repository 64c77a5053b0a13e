"""The engine that a model gets, and that the reason is told."""

from __future__ import annotations

import logging
from contextlib import closing

import pytest

from adapters.generation.engine import Generation
from adapters.generation.engines import engine_for
from adapters.generation.sequential_engine import SequentialEngine
from adapters.generation.slot_engine import SlotEngine
from tests.adapters.generation.models import greedy, prompt_of, tiny, together


@pytest.mark.parametrize(("architecture", "kind"), [("Llama", SlotEngine), ("windows", SequentialEngine)])
def test_slots_where_they_hold_the_model(
    architecture: str, kind: type[object], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model = tiny(architecture)
    answer = greedy(model, prompt_of(4), 5)
    with closing(engine_for(model, cache_limit=1 << 24)) as engine:
        assert isinstance(engine, kind)
        assert together(engine, [Generation(prompt=prompt_of(4), max_tokens=5)]) == [answer]
    assert ("sliding_window" in caplog.text) == (kind is SequentialEngine)
