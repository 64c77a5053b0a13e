"""Instances as what handlers take, and what they answer as JSON's values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters.base import InvalidInput
from adapters.torchserve_.messages import Part, plain, request_of


@pytest.mark.parametrize(
    ("element", "bare", "data"),
    [
        ([1, 2], False, {"body": [1, 2]}),
        ({"x": 1}, False, {"body": {"x": 1}}),
        ({"body": b"a"}, False, {"body": bytearray(b"a")}),
        ({"data": 1, "more": b"b"}, False, {"data": 1, "more": bytearray(b"b")}),
        ({"x": b"a"}, True, {"x": bytearray(b"a")}),
        (b"a", True, bytearray(b"a")),
    ],
)
def test_an_instance_as_a_request(element: Any, bare: bool, data: Any) -> None:
    assert request_of(element, http=False, bare=bare) == Part(data)


def test_a_whole_request() -> None:
    whole = {"headers": {"a": "b"}, "parts": {"body": b"x"}}
    assert request_of(whole, http=True, bare=False) == Part({"body": bytearray(b"x")}, {"a": "b"})
    assert request_of({}, http=True, bare=False) == Part({})


@pytest.mark.parametrize("element", [3, [], {"body": 1}, {"parts": 3}, {"headers": []}])
def test_what_is_no_whole_request_is_the_clients_fault(element: Any) -> None:
    with pytest.raises(InvalidInput, match="headers"):
        request_of(element, http=True, bare=False)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, None),
        ((1, 2.5, "a", True), [1, 2.5, "a", True]),
        ({1: {"a": (2,)}}, {"1": {"a": [2]}}),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.float32(1.5), 1.5),
        ([np.int64(3)], [3]),
    ],
)
def test_a_handlers_value(value: Any, said: Any) -> None:
    assert plain(value) == said


def test_a_value_that_json_cannot_say() -> None:
    with pytest.raises(TypeError, match="holds a object"):
        plain([object()])
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(TypeError, match="nested more than 64 deep"):
        plain(circle)
