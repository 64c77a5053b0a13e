"""What a scan makes of tuples, dtypes and shapes, and what it says of what it noted."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.formats.pickles.records import Found, Made, count_of, layout_of, tuple_of
from adapters.formats.pickles.stream import Unreadable


def test_tuples_of_tuples_are_weighed_through_all_of_them() -> None:
    assert type(tuple_of((1, "a", [2]))) is tuple
    nested: Any = tuple_of(((1, 2), (3,)))
    assert nested == ((1, 2), (3,))
    assert (nested.weight, tuple_of((nested, nested)).weight) == (5, 12)  # type: ignore[attr-defined]


def test_tuples_without_end_are_refused_however_few_bytes_they_take() -> None:
    nested: Any = (1, 2)
    for _ in range(12):
        nested = tuple_of((nested,) * 4)
    with pytest.raises(Unreadable, match="nests tuples in tuples without end"):
        tuple_of((nested,) * 4)


@pytest.mark.parametrize(
    ("code", "state", "layout"),
    [
        ("f8", None, (8, False)),
        ("<i4", (3, "<", None, None, None, -1, -1, 0), (4, False)),
        ("U3", (3, "<", None, None, None, 12, 4, 8), (12, False)),
        ("V9", (3, "|", None, (), {}, 9, 1, 1), (9, True)),  # columns, of which one holds objects
        ("O8", None, (8, True)),
    ],
)
def test_the_size_of_an_element(code: str, state: Any, layout: tuple[int, bool]) -> None:
    assert layout_of(Made("numpy.dtype", (code, False, True), state)) == layout


@pytest.mark.parametrize(
    "dtype",
    [
        None,
        "f8",
        Made("numpy.dtype"),
        Made("numpy.dtype", (8,)),
        Made("os.system", ("f8",)),
        Made("numpy.dtype", ("f8,f8",)),
    ],
)
def test_a_dtype_that_is_none(dtype: Any) -> None:
    with pytest.raises(Unreadable, match="an array of an unknown type"):
        layout_of(dtype)


@pytest.mark.parametrize(("shape", "count"), [((), 1), ((3,), 3), ((2, 0), 0), ((2**20, 2**10), 2**30)])
def test_a_shape(shape: Any, count: int) -> None:
    assert count_of(shape) == count


def test_a_shape_of_more_than_any_memory_holds() -> None:
    with pytest.raises(Unreadable, match="more elements than there is memory"):
        count_of((2**40, 2**40))


@pytest.mark.parametrize("shape", [None, 3, [3], (-1,), (2.0,), ("3",)])
def test_a_shape_that_is_none(shape: Any) -> None:
    with pytest.raises(Unreadable, match="an array without a shape"):
        count_of(shape)


def test_what_is_refused_names_come_before_acts() -> None:
    found = Found()
    assert found.refused() == ""
    found.acts["calls builtins.list"] = None
    assert found.refused().startswith("calls builtins.list, as no known library's pickle does")
    found.held["builtins.getattr"] = None
    assert found.refused().startswith("names builtins.getattr")
    found.unlisted["os.system"] = None
    assert found.refused().startswith("names os.system, builtins.getattr, which are not classes")
