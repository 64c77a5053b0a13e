"""How many rows a request holds, which all protocols share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from server.codec.decoded_request import rows_of
from server.errors import InvalidInput
from tests.server.codec.signatures import SIGNATURES

SIGNATURE = SIGNATURES["matrix"]


def test_rows_are_counted() -> None:
    assert rows_of({"a": np.ones((3, 2)), "b": np.ones(3)}, SIGNATURE) == 3
    assert rows_of({"a": np.ones((3, 2)), "b": np.ones(5)}, SIGNATURES["unbatched"]) == 1


NO_ROWS = [
    ({}, "no input was sent: send one of 'a', 'b'"),
    ({"a": np.ones(0)}, "'a' holds no rows"),
    ({"a": np.ones((2, 0))}, "'a' holds no values"),
    ({"a": np.ones(2), "b": np.ones(3)}, "the inputs hold different numbers of rows: 'a' holds 2, 'b' holds 3"),
]


@pytest.mark.parametrize(("inputs", "says"), NO_ROWS)
def test_inputs_without_common_rows_are_refused(inputs: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        rows_of(inputs, SIGNATURES["table of optional columns"])
    assert says in str(error.value)
