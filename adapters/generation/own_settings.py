"""What a model's own generation_config.json says about how its texts are made, where a request says nothing.

As vLLM takes it: temperature, top_k, top_p, min_p and repetition_penalty count whether `do_sample` is set or not, and
`max_new_tokens` is the budget of a chat that has none.
"""

from __future__ import annotations

from typing import Any

from adapters.base import LoadError
from adapters.generation.job import Job
from adapters.generation.refusal import RefusedJob

_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")


def sampling_defaults(config: Any) -> dict[str, Any]:
    """Fields of a job, by transformers' `GenerationConfig`: those that it sets.

    Raises:
        LoadError: one is out of its range.
    """
    found = {name: value for name in _SAMPLING if (value := getattr(config, name, None)) is not None}
    try:
        Job.of({"prompt": "", **found})
    except RefusedJob as error:
        raise LoadError(f"generation_config.json: {error}") from error
    return found


def chat_tokens(config: Any) -> int | None:
    """Tokens of a chat that does not say how many."""
    wanted = getattr(config, "max_new_tokens", None)
    return wanted if isinstance(wanted, int) and wanted > 0 else None
