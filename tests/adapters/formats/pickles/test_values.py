"""The stand-ins for calls: right for what real pickles ask, and closed to what they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.formats.pickles.policy import Refused
from adapters.formats.pickles.values import STAND_INS, Placeholder, check_names, dtype_with, native


@pytest.mark.parametrize(
    ("name", "args", "value"),
    [
        ("builtins.bytes", (), b""),
        ("builtins.bytes", ("é", "latin-1"), b"\xe9"),
        ("builtins.bytearray", (b"ab",), bytearray(b"ab")),
        ("builtins.set", ([1, 2],), {1, 2}),
        ("builtins.frozenset", ((1,),), frozenset({1})),
        ("_codecs.encode", ("é", "latin1"), b"\xe9"),
        ("copyreg._reconstructor", (dict, dict, {"a": 1}), {"a": 1}),
        ("copyreg.__newobj__", (list,), []),
    ],
)
def test_they_build_what_the_function_builds(name: str, args: tuple[Any, ...], value: Any) -> None:
    made = STAND_INS[name](*args)
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("builtins.bytes", (10**12,)),
        ("builtins.bytearray", (10**12,)),
        ("builtins.set", (range(10**12),)),
        ("builtins.frozenset", ("abc",)),
        ("_codecs.encode", ("a", "rot13")),
        ("_codecs.encode", (b"a", "latin1")),
        ("copyreg._reconstructor", (dict, type, {})),
        ("copyreg._reconstructor", (dict, dict, {"__class__": 1})),
        ("copyreg._reconstructor", ("dict", dict, {})),
        ("copyreg.__newobj__", (len,)),
        ("copyreg.__newobj_ex__", (len, (), {})),
        ("builtins.getattr", (object(), "__class__")),
        ("functools.partial", (print,)),
        ("numpy._core.multiarray._reconstruct", (np.ndarray, (10**12,), b"b")),
        ("numpy._core.multiarray._reconstruct", (dict, (0,), b"b")),
        ("numpy.ma.core._mareconstruct", (np.ndarray, np.ndarray, (0,), "f8")),
        ("numpy.random._pickle.__bit_generator_ctor", ("system",)),
        ("numpy.random._pickle.__bit_generator_ctor", (dict,)),
    ],
)
def test_they_refuse_what_it_would_do_besides(name: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(Refused):
        STAND_INS[name](*args)


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState, lambda seed: np.random.PCG64(seed)])
def test_a_random_generator_goes_on_where_it_was(make: Callable[[int], Any]) -> None:
    function, args, *state = make(7).__reduce__()
    made = STAND_INS[f"numpy.random._pickle.{function.__name__}"](*args)
    made.__setstate__(state[0]) if state else None
    assert type(made) is type(make(7))


def test_a_placeholder_takes_anything_and_keeps_nothing() -> None:
    made = Placeholder(1, 2)
    made.__setstate__({"a": 1})
    assert not hasattr(made, "a")
    assert STAND_INS["builtins.getattr"](made, "rvs") is made


@pytest.mark.parametrize("name", ["__class__", "__array_interface__", "__reduce__"])
def test_reserved_attributes_are_refused(name: str) -> None:
    with pytest.raises(Refused, match=name):
        check_names(["a", name])
    check_names(["a", "_b", "__c", 3])


@pytest.mark.parametrize(
    "dtype",
    [
        "f8", ">i4", "U3", "S7", "M8[3s]", "m8[ns]", [("a", "f4"), ("b", "U2")], [("a", "f4", (2, 3))], "O", "?",
        np.dtype([("a", "i1"), ("b", "f8")], align=True), np.dtype((np.record, [("a", "O"), ("b", ">f4")])),
    ],
)  # fmt: skip
def test_a_dtype_takes_the_state_that_numpy_writes(dtype: Any) -> None:
    wanted = np.dtype(dtype)
    _, args, state = wanted.__reduce__()  # type: ignore[misc]
    made = dtype_with(np.dtype(*args), state)
    assert made == wanted
    assert (made.type, made.flags, made.isalignedstruct) == (wanted.type, wanted.flags, wanted.isalignedstruct)


def test_a_dtype_is_not_changed_and_keeps_nothing_of_the_files() -> None:
    plain, fields = np.dtype("V8"), {"a": (np.dtype("f8"), 0)}
    made = dtype_with(plain, (3, "|", None, ("a",), fields, 8, 1, 16))
    fields["a"] = (np.dtype("O"), 0)
    assert (plain, made) == (np.dtype("V8"), np.dtype([("a", "f8")]))
    likened: Any = {"a": ("f8", 0)}  # which numpy says is equal to its own, and would take for one
    made = dtype_with(plain, (3, "|", None, ("a",), likened, 8, 1, 16))
    assert made.fields is not None
    assert isinstance(made.fields["a"][0], np.dtype)


@pytest.mark.parametrize(
    "state",
    [
        (3, "|", None, None, None, 8, 1, 63),  # plain bytes called objects
        (3, "<", None, None, None, 2**40, -1, 0),
        (3, "<", None, ("a",), {"a": (np.dtype("O"), 0)}, 4, -1, 0),
        (5, "|", None, None, None, 8, 1, 0),  # a version that numpy does not know
        (3, "<"),
        None,
        7,
    ],
)
def test_a_dtype_takes_no_other_state(state: Any) -> None:
    with pytest.raises(Refused, match="type of array"):
        dtype_with(np.dtype("V8"), state)


def test_arrays_come_in_this_machines_byte_order() -> None:
    array = np.array([1.5, 2], ">f8")
    assert native(array).dtype == np.dtype("f8")
    assert native(array).tolist() == [1.5, 2]
    table = np.array([(1, 2.5)], [("a", ">i4"), ("b", ">f4")])
    assert native(table).tolist() == [(1, 2.5)]
    plain = np.array([1.0])
    assert native(plain) is plain


def test_the_table_of_calls_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        STAND_INS["os.system"] = print  # type: ignore[index]
