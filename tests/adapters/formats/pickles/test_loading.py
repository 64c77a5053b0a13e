"""The machine that loads: it enforces the policy by itself, at every opcode that names, makes or changes something."""

from __future__ import annotations

import functools
import gc
import io
import pickle
import weakref
from collections import Counter, OrderedDict, deque
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_array

from adapters.base import LoadError
from adapters.formats.pickles import loading
from adapters.formats.pickles.loading import Loading
from adapters.formats.pickles.policy import Refused
from adapters.formats.pickles.stream import opened
from tests.adapters.formats.pickles import attacks
from tests.adapters.formats.pickles.kit import dumped, written


def loaded(data: bytes) -> Any:
    machine = Loading(io.BufferedReader(io.BytesIO(data)))  # type: ignore[arg-type]
    value = machine.load()
    machine.expect_end()
    return value


def test_the_loader_needs_no_scan(mark: Path) -> None:
    """The second wall stands alone: the machine that loads refuses without the first having looked."""
    for name, attack in attacks.crafted(mark).items():
        with pytest.raises(Refused):
            loaded(attack)
        assert not mark.exists(), name


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_values_come_back_as_they_were(protocol: int) -> None:
    values = [{"a": {1}, 2: frozenset("b")}, OrderedDict(x=[1]), deque([1, 2]), Counter("aab"), bytearray(b"ab"), 1j]
    assert loaded(pickle.dumps(values, protocol)) == values
    model = loaded(pickle.dumps(LogisticRegression(C=3.5), protocol))
    assert type(model) is LogisticRegression
    assert model.get_params() == LogisticRegression(C=3.5).get_params()


@pytest.mark.parametrize(
    ("data", "act"),
    [
        (b"cbuiltins\nlist\n(tR.", "calls builtins.list"),
        (b"cnumpy\nlog1p\n(K\x01tR.", "calls numpy.log1p"),
        (b"]\x85)R.", "calls builtins.tuple"),
        (b"(cbuiltins\nlist\no.", "makes a builtins.list with an opcode of Python 2"),
        (b"(icollections\nOrderedDict\n.", "makes a collections.OrderedDict with an opcode of Python 2"),
        (b"])\x81.", "makes an object of what is no class"),
        (b"cnumpy\nndarray\n(K\x01\x85t\x81.", "makes an array with an opcode for other objects"),
        (b"cnumpy\nndarray\n(K\x01\x85t}\x92.", "makes an array with an opcode for other objects"),
        (b"cbuiltins\nbytes\ncbuiltins\nrange\nK\x05\x85R\x85R.", "makes an object of a range"),
        (b"cbuiltins\nlist\n}b.", "changes builtins.list"),
        (b"cnumpy\nlog1p\n}b.", "changes numpy.log1p"),
        (b"K\x01K\x02a.", "adds to builtins.int"),
        (b"K\x01(K\x02e.", "adds to builtins.int"),
        (b")K\x01K\x02s.", "adds to builtins.tuple"),
        (b")(K\x01K\x02u.", "adds to builtins.tuple"),
        (b")(K\x01\x90.", "adds to builtins.tuple"),
    ],
    ids=["call", "function", "made", "obj", "inst", "new", "array", "array-keywords", "range", "class", "state",
         "append", "appends", "setitem", "setitems", "additems"],
)  # fmt: skip
def test_an_act_that_no_library_does_is_refused(data: bytes, act: str) -> None:
    with pytest.raises(Refused, match=act):
        loaded(b"\x80\x04" + data)


@pytest.mark.parametrize("data", [b"cos\nsystem\n.", b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"cbuiltins\neval\n."])
def test_a_name_that_no_rule_allows_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match=r"^names "):
        loaded(data)


def test_a_name_that_leads_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    data = b"csklearn.linear_model\nLasso\n."
    monkeypatch.setattr("sklearn.linear_model.Lasso", os.system)
    with pytest.raises(Refused, match=r"sklearn\.linear_model\.Lasso \(\w+\.system\)"):
        loaded(data)
    monkeypatch.setattr("sklearn.linear_model.Lasso", type("Popen", (), {"__module__": "subprocess"}))
    with pytest.raises(Refused, match=r"sklearn\.linear_model\.Lasso \(subprocess\.Popen\)"):
        loaded(data)


def test_a_name_that_is_not_there_is_no_refusal() -> None:
    with pytest.raises(LoadError, match=r"^names sklearn\.svm\.Gone, which is not installed here") as caught:
        loaded(b"csklearn.svm\nGone\n.")
    assert not isinstance(caught.value, Refused)


def test_reserved_names_are_no_attributes() -> None:
    for state in ({"__class__": 1}, (None, {"__dict__": 1})):
        data = b"\x80\x04csklearn.svm\nSVC\n)\x81" + pickle.dumps(state)[2:-1] + b"b."
        with pytest.raises(Refused):
            loaded(data)


def test_slots_and_attributes_are_both_set() -> None:
    data = b"\x80\x04csklearn._loss.link\nInterval\n)\x81" + pickle.dumps({"low": 1.5, "high": 2.5})[2:-1] + b"b."
    interval = loaded(data)
    assert (interval.low, interval.high) == (1.5, 2.5)


def test_a_partial_keeps_the_one_function_that_it_may_hold() -> None:
    sound = functools.partial(check_array, ensure_2d=False)
    found = loaded(pickle.dumps(sound))
    assert (found.func, found.keywords) == (check_array, {"ensure_2d": False})
    state = b"cnumpy\nexp\n)}Nt"
    swapped = b"\x80\x02cfunctools\npartial\ncsklearn.utils.validation\ncheck_array\n\x85R(" + state + b"b."
    with pytest.raises(Refused, match=r"functools\.partial"):
        loaded(swapped)
    with pytest.raises(Refused, match=r"functools\.partial"):
        loaded(pickle.dumps(functools.partial(np.log1p)))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=">i2"),
        np.zeros((0, 2)),
        np.array(["a", None], dtype=object),
    ],
    ids=["rows", "columns", "big-endian", "empty", "objects"],
)
def test_arrays_that_joblib_wrote_behind_their_headers(array: Any, tmp_path: Path) -> None:
    joblib.dump([array, "after"], tmp_path / "a.joblib")
    with opened(tmp_path / "a.joblib") as stream:
        found, after = Loading(stream).load()
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.flags.f_contiguous == array.flags.f_contiguous
    assert after == "after"


def test_an_array_that_ends_early_is_told(tmp_path: Path) -> None:
    path = dumped(np.arange(1000.0), tmp_path / "a.joblib")
    written(path, path.read_bytes()[:4000])
    with opened(path) as stream, pytest.raises(EOFError, match="the file ends within an array"):
        Loading(stream).load()


def test_an_array_without_a_type_is_refused() -> None:
    wrapper = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81"
    state = {"dtype": "f8", "shape": (1,), "order": "C"}
    with pytest.raises(Refused, match="describes an array without its type"):
        loaded(b"\x80\x04" + wrapper + pickle.dumps(state)[2:-1] + b"b.")


def test_bytes_are_read_and_no_room_is_made_for_what_is_claimed() -> None:
    assert loaded(b"\x80\x05\x96" + (3).to_bytes(8, "little") + b"abc.") == bytearray(b"abc")
    with pytest.raises(EOFError):
        loaded(b"\x80\x05\x96" + (2**62).to_bytes(8, "little") + b"abc.")


def test_the_type_of_an_array_is_not_changed_under_it() -> None:
    """Eight bytes of the file became the address of an object, once their array's type was told to hold one."""
    plain = b"cnumpy\ndtype\n\x8c\x02V8\x89\x88\x87R\x94"  # 0: eight bytes
    empty = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    array = empty + b"(K\x01K\x01\x85h\x00\x89C\x08ABCDEFGHtb"
    objects = b"cnumpy\ndtype\n\x8c\x01O\x89\x88\x87R"
    flags = bytes([np.dtype([("a", "O")]).flags])
    state = b"(K\x03\x8c\x01|N\x8c\x01a\x85}\x8c\x01a" + objects + b"K\x00\x86sK\x08K\x01K" + flags + b"t"
    _, (array_, dtype) = loaded(b"\x80\x04" + plain + array + b"h\x00" + state + b"b\x86\x86.")
    assert array_.dtype == np.dtype("V8")
    assert dtype == np.dtype([("a", "O")])


def test_what_is_remembered_of_a_type_has_its_state() -> None:
    array = np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")])
    made = loaded(pickle.dumps([array.dtype, array, array.dtype], 4))
    assert made[0] is made[2] is made[1].dtype
    assert made[1].tolist() == [(1, 2.5)]


def test_dtypes_that_are_finished_late_take_no_square_of_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is looked for in the memory, from its end; a file can have put all of them at its beginning."""
    state = b"(K\x03\x8c\x01>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
    begun = b"cnumpy\ndtype\n\x94" + b"h\x00\x8c\x02f8\x89\x88\x87R\x94" * 30
    late = b"\x80\x04" + begun + b"K\x01\x94" * 200 + b"".join(b"h%c" % n + state + b"b0" for n in range(1, 31))
    monkeypatch.setattr(loading, "_MOST_SEARCHED", 10_000)
    assert loaded(late + b"K\x01.") == 1
    monkeypatch.setattr(loading, "_MOST_SEARCHED", 1_000)
    with pytest.raises(Refused, match="finishes its dtypes long after"):
        loaded(late + b"K\x01.")


def test_an_array_is_filled_once() -> None:
    """Another that reads its memory (`_frombuffer`) went on to read what was given back."""
    empty = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    state = b"(K\x01K\x01\x85cnumpy\ndtype\n\x8c\x02u1\x85R\x89C\x01At"
    assert loaded(b"\x80\x04" + empty + state + b"b.").tolist() == [65]
    with pytest.raises(Refused, match="fills an array twice"):
        loaded(b"\x80\x04" + empty + state + b"b" + state + b"b.")


def test_a_load_leaves_nothing_for_the_garbage_collector(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"weights": np.arange(5), "line": "a\n"}, 0))
    gc.collect()
    gc.disable()  # what is left would be there
    try:
        with opened(path) as stream:
            reader = Loading(stream)
            reader.load()
            reader.expect_end()
            left = weakref.ref(reader)
            del reader
        assert left() is None
    finally:
        gc.enable()
