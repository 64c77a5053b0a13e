"""What a column of categories takes, and what is none of them."""

from __future__ import annotations

import pytest

from adapters.base import InvalidInput
from adapters.shared.categories import category_spec, check_kind, known

WIDE = 2**53


@pytest.mark.parametrize(
    ("categories", "datatype", "any_type"),
    [
        (["a", "b"], "BYTES", False),
        (["a", 1], "BYTES", False),
        ([1, 2], "FP64", False),
        ([0.5, 1], "FP64", False),
        ([WIDE - 1], "FP64", False),
        ([1, WIDE], "INT64", True),
        ([-WIDE], "INT64", True),
        ([2**63], "UINT64", True),
    ],
)
def test_numbers_that_share_a_float_come_as_sent(categories: list[object], datatype: str, any_type: bool) -> None:
    spec = category_spec("c", categories)
    assert (spec.datatype, spec.any_type, spec.nullable, spec.shape) == (datatype, any_type, True, (-1,))


def test_a_text_is_no_number() -> None:
    check_kind("c", [1, None, 2.5], [1, 2])
    check_kind("c", ["x"], ["a", "b"])
    with pytest.raises(InvalidInput, match=r"^c: 'x' is not one of its categories; known: 1, 2$"):
        check_kind("c", [1, "x"], [1, 2])
    assert known(["a"]) == "known: 'a'"
