"""How much memory the keys and values of all sequences may take, where the operator does not say."""

from __future__ import annotations

from typing import Any

from adapters.shared.memory import memory_bytes

#: sequences of full length ...
_CONTEXTS = 8
#: ... or so much of the memory
_SHARE = 0.25


def cache_limit(of_context: int, memory: int | None = None) -> int:
    """Bytes for all, where a sequence of full length takes `of_context`: one of those fits in any case."""
    share = int((memory_bytes() if memory is None else memory) * _SHARE)
    return max(min(_CONTEXTS * of_context, share), of_context) if of_context else share


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
