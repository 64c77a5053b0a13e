"""Which engine a model gets."""

from __future__ import annotations

import logging
from typing import Any

from adapters.generation.engine import Engine
from adapters.generation.giving_way import NICE

logger = logging.getLogger(__name__)


def engine_for(
    model: Any,
    *,
    cache_limit: int,
    slots: int = 32,
    prefill_chunk: int = 128,
    max_waiting: int = 256,
    nice: int = NICE,
    threads: int = 0,
) -> Engine:
    """Slots where they can hold the model, and one generation after the other where they cannot.

    `model` is one of transformers' that generates, ready on its device; it is the engine's until that is closed.
    """
    from adapters.generation.ragged_attention import NotHeld
    from adapters.generation.sequential_engine import SequentialEngine
    from adapters.generation.slot_engine import SlotEngine

    try:
        return SlotEngine(
            model,
            cache_limit=cache_limit,
            slots=slots,
            prefill_chunk=prefill_chunk,
            max_waiting=max_waiting,
            nice=nice,
            threads=threads,
        )
    except NotHeld as reason:
        logger.info("%s generates one answer at a time: %s", type(model).__name__, reason)
        return SequentialEngine(model, cache_limit=cache_limit, max_waiting=max_waiting, nice=nice, threads=threads)
