"""What a scan finds in a pickle, opcode by opcode, without making any of it."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from adapters.formats.pickles.policy import Refused
from adapters.formats.pickles.records import Found, Made
from adapters.formats.pickles.scan import Scan
from adapters.formats.pickles.stream import Unreadable


def scanned(data: bytes) -> tuple[Any, Found]:
    found = Found()
    scan = Scan(io.BufferedReader(io.BytesIO(data)), found)  # type: ignore[arg-type]
    top = scan.load()
    scan.expect_end()
    return top, found


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [None, 7, 2.5, "text", True, (1, (2, "a")), [(1, 2)], -(2**70)])
def test_plain_values_are_themselves(value: Any, protocol: int) -> None:
    top, found = scanned(pickle.dumps(value, protocol))
    assert top == value
    assert found.refused() == ""


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_names_are_noted_and_nothing_is_imported(protocol: int) -> None:
    top, found = scanned(pickle.dumps(OrderedDict(a=np.float64(1)), protocol))
    assert isinstance(top, Made)
    assert top.name == "collections.OrderedDict"
    assert "collections.OrderedDict" in found.names
    assert found.refused() == ""


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'id'\ntR.",
        b"(S'id'\nios\nsystem\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
        b"cbuiltins\neval\n.",
    ],
)
def test_a_name_that_no_rule_allows_is_refused(data: bytes) -> None:
    assert scanned(data)[1].refused().startswith("names ")


@pytest.mark.parametrize(
    ("data", "act"),
    [
        (b"cbuiltins\nlist\n(tR.", "calls builtins.list"),
        (b"(cbuiltins\nlist\no.", "an opcode of Python 2"),
        (b"]\x85)R.", "calls an object that it made itself"),
        (b"])\x81.", "makes an object of what is no class"),
        (b"cbuiltins\nlist\n}b.", "changes builtins.list"),
    ],
)
def test_an_act_that_no_library_does_is_refused(data: bytes, act: str) -> None:
    assert act in scanned(data)[1].refused()


@pytest.mark.parametrize("opcodes", [b"(" + b"h\0" * 4 + b"t", b"h\0" * 3 + b"\x87"], ids=["of any length", "of three"])
def test_tuples_of_tuples_without_end_are_not_made(opcodes: bytes) -> None:
    """Hashing one of a few hundred bytes would take for ever."""
    data = b"\x80\x04(K\x01K\x02t\x940" + (opcodes + b"q\x000") * 40 + b"h\0."
    with pytest.raises(Unreadable, match="nests tuples in tuples without end"):
        scanned(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x82\x01.", Refused),
        (b"Pid\n.", Refused),
        (b"\x80\x05\x97.", Unreadable),
    ],
)
def test_doors_that_no_model_needs_are_closed(data: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        scanned(data)


@pytest.mark.parametrize("data", [b"", b"\x80", b"(K\x01", b"X\xff\0\0\0a", b"\x95" + b"\xff" * 8 + b".", b"\xff."])
def test_damage_ends_the_scan(data: bytes) -> None:
    with pytest.raises((EOFError, Unreadable, IndexError)):
        scanned(data)


def test_what_follows_is_an_error() -> None:
    with pytest.raises(Unreadable, match="keep one object in a file"):
        scanned(pickle.dumps(1) + b"x")


def test_steps_are_limited() -> None:
    found = Found(limit=3)
    with pytest.raises(Unreadable, match="steps to read"):
        Scan(io.BufferedReader(io.BytesIO(pickle.dumps([1, 2, 3, 4], 0))), found).load()  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_of_lists_tuples_are_kept_which_may_be_a_pipelines_steps(protocol: int) -> None:
    assert scanned(pickle.dumps([1, ("a", 2), [3], "b"], protocol))[0] == [("a", 2)]
