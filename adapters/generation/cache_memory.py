"""How much memory the keys and values of all sequences may take, where the operator does not say."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from adapters.shared.memory import memory_bytes

#: bytes that all models of the server may take, where it has a budget
BUDGET = "POLYSERVE_MEMORY_BUDGET"

#: sequences of full length ...
_CONTEXTS = 8
#: ... or so much of the memory
_SHARE = 0.25
#: and, for one sequence of full length, no more than so much
_MOST = 0.5


def cache_limit(of_context: int, memory: int) -> int:
    """Bytes for all, of so much memory, where a sequence of full length takes `of_context`."""
    share, most = int(memory * _SHARE), int(memory * _MOST)
    return max(min(_CONTEXTS * of_context, share), min(of_context, most)) if of_context else share


def bytes_of_context(config: Any, itemsize: int, tokens: int) -> int:
    """Of a sequence of so many tokens, by a configuration of transformers'; 0 where that tells of no attention."""
    heads = getattr(config, "num_attention_heads", None)
    hidden, layers = getattr(config, "hidden_size", None), getattr(config, "num_hidden_layers", None)
    if not heads or not hidden or not layers:
        return 0
    size = getattr(config, "head_dim", None) or hidden // heads
    heads = getattr(config, "num_key_value_heads", None) or heads
    size_of_token = int(2 * layers * heads * size * itemsize)
    return size_of_token * (tokens + tokens // 4)  # rows are up to a quarter longer


def memory_of(device: str = "cpu") -> int:
    """Memory of a device. The processor's is the machine's, the container's or the server's budget, what is least."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    whole = memory_bytes()
    with contextlib.suppress(ValueError):
        whole = min(whole, int(os.environ.get(BUDGET, "")))
    return whole
