"""What is held back of a text in pieces."""

from __future__ import annotations

import pytest

from adapters.generation.held_back import Trimmed, could_begin


@pytest.mark.parametrize(
    ("text", "held"),
    [("", 0), ("one", 0), ("one <", 2), ("one</thi", 5), ("one </think", 8), ("one \n", 2), ("one <<", 1), ("a<b", 0)],
)
def test_a_part_of_the_mark_and_the_white_space_before_it(text: str, held: int) -> None:
    assert could_begin(text, "</think>") == held


def test_white_space_at_the_ends_is_never_told() -> None:
    text = Trimmed()
    assert [text.add(piece) for piece in (" \n", " one", " ", "\n", "two ", " ")] == ["", "one", "", "", " \ntwo", ""]
    assert text.held == 2
