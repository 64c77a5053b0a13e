"""Arrays are made and filled as their own pickles do it: whatever else numpy takes on trust is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters.formats.pickles.arrays import ArrayKind, create_array, empty, empty_masked, kind_of
from adapters.formats.pickles.policy import Refused
from tests.adapters.formats.pickles.opcodes import called, filled, loaded, value

ARRAY = called(b"cnumpy._core.multiarray\n_reconstruct\n", b"cnumpy\nndarray\n", value((0,)), value(b"b"))
OBJECTS = np.dtype(object)
WRONG_NUMBER = "with another number of objects than it has places"


@pytest.mark.parametrize(
    "state",
    [(1, (3,), OBJECTS, False, [1, 2]), (1, (2, 2), OBJECTS, False, [1, 2, 3]), (1, (1,), OBJECTS, False, [1, 2]),
     (1, (2,), np.dtype([("a", "O")]), False, [(1,)]), ((2,), OBJECTS, False, [1])],
)  # fmt: skip
def test_an_array_of_objects_has_as_many_as_it_has_places(state: tuple[Any, ...]) -> None:
    """numpy reads on behind the list's end, and takes for objects what lies there, by the file's choice."""
    with pytest.raises(Refused, match=WRONG_NUMBER):
        loaded(filled(ARRAY, value(state)))


def test_a_masked_array_and_dills_are_filled_by_the_same_rule() -> None:
    masked = called(
        b"cnumpy.ma\n_mareconstruct\n", b"cnumpy.ma\nMaskedArray\ncnumpy\nndarray\n", value((0,)), value(b"b")
    )
    with pytest.raises(Refused, match=WRONG_NUMBER):
        loaded(filled(masked, value((1, (9,), OBJECTS, False, [1], b"\0" * 9, None))))
    maker, args = b"cnumpy._core.multiarray\n_reconstruct\n", b"cnumpy\nndarray\n" + value((0,)) + value(b"b") + b"\x87"
    dills = called(b"cdill._dill\n_create_array\n", maker, args, value((1, (9,), OBJECTS, False, [1])))
    with pytest.raises(Refused, match=WRONG_NUMBER):
        loaded(dills)


def test_sound_arrays_of_objects_come_back() -> None:
    for array in (np.array([1, "a", None], object), np.empty((0, 3), object), np.array([[1], ["b"]], object)):
        back = loaded(value(array))
        assert back.shape == array.shape
        assert back.tolist() == array.tolist()


def test_an_array_is_filled_once() -> None:
    state = value((1, (2,), np.dtype("u1"), False, b"ab"))
    with pytest.raises(Refused, match="fills an array twice"):
        loaded(filled(ARRAY, state, state))


def test_nobody_holds_a_class_of_arrays() -> None:
    """An estimator calls what it holds, and `numpy.ndarray(shape, object, buffer)` makes objects of plain bytes."""
    for name in (b"cnumpy\nndarray\n", b"cnumpy\nmatrix\n", b"cnumpy.rec\nrecarray\n", b"cnumpy.ma\nMaskedArray\n"):
        held = loaded(name)
        assert isinstance(held, ArrayKind)
        assert not callable(held)


def test_a_kind_is_one_object_and_shown_as_its_class() -> None:
    assert kind_of(np.ndarray) is kind_of(np.ndarray)
    assert f"{kind_of(np.ndarray).__module__}.{kind_of(np.ndarray).__qualname__}" == "numpy.ndarray"


@pytest.mark.parametrize("kind", [np.ndarray, None, int])
def test_arrays_are_made_of_kinds_alone(kind: Any) -> None:
    with pytest.raises(Refused):
        empty(kind, (0,), "i8")
    with pytest.raises(Refused):
        empty_masked(kind, kind_of(np.ndarray), (0,), "i8")


def test_an_array_is_empty_until_it_is_filled() -> None:
    with pytest.raises(Refused):
        empty(kind_of(np.ndarray), (9,), "i8")
    with pytest.raises(Refused):
        empty_masked(kind_of(np.ma.MaskedArray), kind_of(np.ndarray), (9,), "i8")
    with pytest.raises(Refused):
        create_array(np.zeros, ((9,),), None)
