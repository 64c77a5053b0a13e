"""`tool_choice`, as chats and as responses write it."""

from __future__ import annotations

from typing import Any

import pytest

from server.api.openai.error_object import FieldRefused
from server.api.openai.tool_fields import choice_of


def test_choices() -> None:
    assert [choice_of(each) for each in (None, "auto", "none", "required")] == [None, "auto", "none", "required"]
    assert choice_of({"type": "function", "function": {"name": "f"}}) == {"name": "f"}
    assert choice_of({"type": "function", "name": "f"}) == {"name": "f"}


@pytest.mark.parametrize(
    "given",
    [{}, {"type": "custom"}, {"type": "function"}, {"type": "function", "function": 5}, {"type": 5},
     {"type": "function", "function": {"name": ""}}, {"type": "allowed_tools", "mode": "auto"}],
)  # fmt: skip
def test_others_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(FieldRefused) as caught:
        choice_of(given)
    assert caught.value.param == "tool_choice"
