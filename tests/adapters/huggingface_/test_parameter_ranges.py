"""Numbers out of range are refused by their names."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import InvalidInput
from adapters.huggingface_.parameter_ranges import check_ranges


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"top_k": 0}, "top_k is 0: it must be from 1"),
        ({"threshold": 1.5}, "threshold is 1.5: it must be from 0 to 1"),
        ({"max_new_tokens": 5000}, "max_new_tokens is 5000: it must be from 1 to 4096"),
        ({"hypothesis_template": "no place"}, "hypothesis_template must hold {}"),
    ],
)
def test_what_is_out_of_range_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        check_ranges(settings)


def test_what_is_within_passes() -> None:
    check_ranges({"top_k": 1, "threshold": 0, "temperature": 2, "hypothesis_template": "It is {}.", "other": -1})
