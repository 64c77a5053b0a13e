"""Which engine runs a model, and how much memory its caches may take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from adapters.base import Parameters
from adapters.generation.engine import Engine

#: sequences of full length that the caches hold, unless the operator says otherwise ...
_CONTEXTS = 8
#: ... or they take so much of the memory
_SHARE = 0.25
_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


def engine_for(model: Any, context: int, options: Parameters) -> Engine:
    """The engine of a loaded model; nobody else may use that from now on."""
    from adapters.generation.ragged_attention import NotHeld
    from adapters.generation.sequential_engine import SequentialEngine
    from adapters.generation.slot_engine import SlotEngine
    from adapters.generation.slot_support import cache_shape

    waiting = {"max_waiting": options["max_queue"]} if "max_queue" in options else {}
    try:
        shape = cache_shape(model)
    except NotHeld as error:
        print(f"{type(model).__name__} answers one request at a time: {error}")
        return SequentialEngine(model, **waiting)
    limit = options.get("cache_bytes") or cache_limit(shape.bytes_per_token * context)
    chunk = {"prefill_chunk": options["prefill_chunk"]} if "prefill_chunk" in options else {}
    return SlotEngine(model, cache_limit=limit, **chunk, **waiting)


def cache_limit(of_context: int, memory: int | None = None) -> int:
    """Bytes of all caches, where a sequence of full length takes `of_context`; that much in any case."""
    share = int((memory_bytes() if memory is None else memory) * _SHARE)
    return max(min(_CONTEXTS * of_context, share), of_context)


def memory_bytes() -> int:
    """Memory of the machine, or of the container where that has less."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int(_MEMORY_LIMIT.read_text()))
    except (OSError, ValueError):  # "max", or there are no control groups
        return whole
