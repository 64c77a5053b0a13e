"""The machine that scan and load share: which doors of Python's own are closed, and what it reads exactly."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest

from adapters.formats.pickles.machine import Machine, Taken
from adapters.formats.pickles.policy import Refused
from adapters.formats.pickles.stream import Unreadable


class Naming(Machine):
    """Takes a name for what it would be today, and imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        return self.modern(module, name)


def machine(data: bytes) -> Naming:
    return Naming(io.BufferedReader(io.BytesIO(data)), Taken())  # type: ignore[arg-type]


def test_a_method_that_overrides_nothing_is_an_error() -> None:
    with pytest.raises(TypeError, match="overrides nothing of the pickle machine with load_tupel"):
        type("Misspelt", (Machine,), {"load_tupel": lambda self: None})


def test_what_a_subclass_overrides_is_what_is_called() -> None:
    assert machine(b"cos\nsystem\n.").load() == ("os", "system")
    assert Naming.dispatch[pickle.MARK[0]] is Machine.dispatch[pickle.MARK[0]]
    assert Naming.dispatch[pickle.FRAME[0]] is Machine.load_frame


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_read_as_python_reads_them(protocol: int) -> None:
    value = {"a": [1, 2.5, None, True], "b": ("x" * 300, b"y" * 300), "c": -(2**70)}
    data = pickle.dumps(value, protocol)
    if protocol in (0, 1, 2):  # which spell bytes as a call
        value.pop("b")
        data = pickle.dumps(value, protocol)
    assert machine(data).load() == value


@pytest.mark.parametrize(
    ("proto", "name", "today"),
    [
        (2, ("__builtin__", "xrange"), ("builtins", "range")),
        (0, ("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")),
        (1, ("sklearn.svm", "SVC"), ("sklearn.svm", "SVC")),
        (3, ("__builtin__", "xrange"), ("__builtin__", "xrange")),
        (2, ("_loss", "CyHalfBinomialLoss"), ("sklearn._loss._loss", "CyHalfBinomialLoss")),
        (4, ("_loss", "CyHalfBinomialLoss"), ("sklearn._loss._loss", "CyHalfBinomialLoss")),
    ],
    ids=["name", "module", "same", "not-now", "compiled", "compiled-now"],
)
def test_python_2s_names_are_todays_in_its_protocols(proto: int, name: tuple[str, str], today: tuple[str, str]) -> None:
    found = machine(b"")
    found.proto = proto
    assert found.modern(*name) == today


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (b"\x82\x07.", Refused, "uses the extension code 7"),
        (b"\x83\x07\x01.", Refused, "uses the extension code 263"),
        (b"Pid\n.", Refused, "uses a persistent id"),
        (b"K\x01Q.", Refused, "uses a persistent id"),
        (b"\x80\x05\x97.", Unreadable, "out-of-band buffers"),
    ],
    ids=["extension", "long-extension", "persistent", "persistent-object", "buffer"],
)
def test_doors_that_no_model_needs_are_closed(data: bytes, kind: type[Exception], reason: str) -> None:
    with pytest.raises(kind, match=reason):
        machine(data).load()


def test_a_frame_has_a_size_that_a_pickler_writes() -> None:
    most = 16 * 2**20
    assert machine(b"\x80\x04\x95" + most.to_bytes(8, "little") + b"K\x01." + bytes(most - 3)).load() == 1
    with pytest.raises(Unreadable, match=f"claims a frame of {most + 1} bytes"):
        machine(b"\x80\x04\x95" + (most + 1).to_bytes(8, "little") + b"K\x01.").load()


@pytest.mark.parametrize("data", [b"", b"I1", b"X\x05\0\0\0ab", b"cos\nsys"], ids=["nothing", "line", "text", "name"])
def test_what_ends_early_is_no_shorter_value(data: bytes) -> None:
    with pytest.raises(EOFError):
        machine(data).load()


def test_the_end_is_the_end_in_a_frame_and_behind_it() -> None:
    framed = b"\x80\x04\x95" + (4).to_bytes(8, "little") + b"K\x01.?"
    for data in (framed, pickle.dumps(1) + b"?"):
        found = machine(data)
        assert found.load() == 1
        with pytest.raises(Unreadable, match="keep one object in a file"):
            found.expect_end()
    whole = machine(pickle.dumps("a" * 100))
    assert whole.load() == "a" * 100
    whole.expect_end()


def test_it_knows_whether_bytes_come_from_a_frame() -> None:
    found = machine(pickle.dumps("a"))
    found.load()
    assert not found.in_frame()
    left = machine(b"\x80\x04\x95" + (4).to_bytes(8, "little") + b"K\x01.?")
    left.load()
    assert left.in_frame()
