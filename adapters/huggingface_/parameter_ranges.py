"""The ranges of what requests ask of pipelines: a number out of range is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.base import InvalidInput

#: parameter -> its least and its largest value
_RANGES: dict[str, tuple[float, float]] = {
    "top_k": (1, 100_000),
    "threshold": (0, 1),
    "mask_threshold": (0, 1),
    "max_new_tokens": (1, 4096),
    "num_beams": (1, 16),
    "temperature": (0, 2),
    "max_answer_len": (1, 1000),
    "doc_stride": (1, 4096),
    "chunk_length_s": (1, 600),
}


def check_ranges(settings: Mapping[str, Any]) -> None:
    """
    Raises:
        InvalidInput: a value is out of range.
    """
    for name, (least, most) in _RANGES.items():
        value = settings.get(name)
        if value is not None and not least <= value <= most:
            raise InvalidInput(f"{name} is {value}: it must be from {least} to {most}")
    template = settings.get("hypothesis_template")
    if template is not None and "{}" not in template:
        raise InvalidInput("hypothesis_template must hold {}, the place of the label")
