"""Lists that are given up at their first mistake."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from server.api.openai.fail_fast import FailFastList


class _Body(BaseModel):
    numbers: FailFastList[int]


def test_the_first_mistake_is_told_and_no_other() -> None:
    assert _Body(numbers=[1, 2]).numbers == [1, 2]
    with pytest.raises(ValidationError) as error:
        _Body.model_validate({"numbers": [1, "a", "b", "c"]})
    assert [each["loc"] for each in error.value.errors()] == [("numbers", 1)]
