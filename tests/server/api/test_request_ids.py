"""Which identifiers of requests are taken."""

from __future__ import annotations

import pytest

from server.api.request_ids import LONGEST, checked, is_valid, made
from server.errors import InvalidInput


@pytest.mark.parametrize("value", ["a", "Root=1-67891233-abcdef", "x" * LONGEST, "~!|;,", "0" * 32])
def test_visible_characters_are_taken(value: str) -> None:
    assert checked(value) == value


@pytest.mark.parametrize("value", ["", " ", "a b", "a\tb", "é", "a\nb", "a\n", "\x1b[31m", "x" * (LONGEST + 1)])
def test_anything_else_is_refused_with_the_limit(value: str) -> None:
    assert not is_valid(value)
    with pytest.raises(InvalidInput, match=f"x-request-id must be 1 to {LONGEST} visible ASCII characters") as caught:
        checked(value)
    assert str(len(value)) in str(caught.value)


def test_each_that_is_made_is_another() -> None:
    ids = {made() for _ in range(100)}
    assert len(ids) == 100
    assert all(map(is_valid, ids))
