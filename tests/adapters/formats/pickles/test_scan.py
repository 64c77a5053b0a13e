"""A scan takes bounded steps and memory, whatever a file makes of its few bytes."""

from __future__ import annotations

import bz2
import lzma
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from adapters.formats.pickles import Unreadable, inspect
from adapters.formats.pickles.scan import _SHARED
from tests.adapters.formats.pickles.kit import written


def _names(count: int) -> bytes:
    return b"\x80\x02" + b"".join(b"cm%08x\nC\n0" % index for index in range(count)) + b"N."


def _peak(path: Path) -> int:
    """Bytes that a scan of the file holds at most."""
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable):
            inspect(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_names_without_end_are_cut_off_and_forgotten(tmp_path: Path) -> None:
    path = written(tmp_path / "model.pkl", lzma.compress(_names(12_000)))
    with pytest.raises(Unreadable, match=r"names more than 10,000 different classes and functions, as no model does"):
        inspect(path)
    assert _peak(path) < 16 << 20
    assert len(inspect(written(path, _names(500))).names) == 500


def test_nothing_of_long_names_is_kept(tmp_path: Path) -> None:
    long = b"".join(b"c%s%d\nC\n0" % (b"m" * 60_000, index) for index in range(300))
    found = inspect(written(tmp_path / "model.pkl", b"\x80\x02" + long + b"N."))
    assert found.refused
    assert sum(map(len, found.names)) < 300 * 200


def test_a_small_file_takes_few_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.formats.pickles.records._MIN_STEPS", 20_000)
    content = lzma.compress(b"\x80\x04" + b"N0" * 50_000 + b"N.")
    with pytest.raises(Unreadable, match=r"takes more than 2\d,\d\d\d steps to read, as no model of its size does"):
        inspect(written(tmp_path / "model.pkl", content))


@pytest.mark.parametrize("way", [b"]\x94", b"}\x94", b"(", b"K\x01K\x01\x86", b"\x8c\x02ab\x94"])
def test_what_is_held_is_bounded(way: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.formats.pickles.scan.MAX_HELD", 20_000)
    with pytest.raises(Unreadable, match=r"holds more than 20,000 objects, as no model does"):
        inspect(written(tmp_path / "model.pkl", b"\x80\x04" + way * 60_000 + b"."))


@pytest.mark.parametrize(
    "way",
    [
        b"](" + b"]" * 20 + b"e0",  # lists that nothing remembers, within lists
        b"h\x00}h\x00Ns0",
        b"]h\x00\x85a",
        b"h\x01)\x81\x940",
        b"\x8f\x940",
        b"U\x02ab\x940",
        b"\x8c\x02ab\x940",
        b"cbuiltins\nobject\n\x940",
    ],
)
def test_what_stands_for_objects_is_bounded(way: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty megabytes of dictionaries with one key that is kept took 800 MB of the server's own process."""
    monkeypatch.setattr("adapters.formats.pickles.scan.MAX_BYTES", 1 << 20)
    content = b"\x80\x04\x8c\x05shape\x94cbuiltins\nobject\n\x94" + way * 40_000 + b"N."
    with pytest.raises(Unreadable, match="makes so many objects that what stands for them takes 1 MiB"):
        inspect(written(tmp_path / "model.pkl", content))


def test_numbers_of_numpys_are_alike_and_keep_nothing(tmp_path: Path) -> None:
    vocabulary = {f"word {index:x}": np.int64(index) for index in range(20)}
    for protocol in (0, 2, 4):
        content = pickle.dumps([vocabulary, np.float64(2.5)], protocol)
        assert inspect(written(tmp_path / "model.pkl", content)).top == "list"
    assert inspect(written(tmp_path / "model.pkl", pickle.dumps(np.float64(2.5)))).top == "numpy.generic"
    assert all(made.state is None for made in _SHARED)


def test_the_shape_of_an_array_is_no_work(tmp_path: Path) -> None:
    huge = b"\x8a\xff" + b"\x7f" * 255
    state = (
        b"}(X\x05\x00\x00\x00shape("
        + huge * 50_000
        + b"tX\x05\x00\x00\x00dtypecnumpy\ndtype\nX\x02\x00\x00\x00f8\x85Ru"
    )
    content = b"\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + state + b"b."
    with pytest.raises(Unreadable, match="an array of more elements than there is memory"):
        inspect(written(tmp_path / "model.pkl", content))


def test_long_lines_are_passed_over(tmp_path: Path) -> None:
    for opcode, quote in ((b"V", b""), (b"S", b"'")):
        content = bz2.compress(b"\x80\x02]" + opcode + quote + b"a" * (24 << 20) + quote + b"\na.")
        tracemalloc.start()
        assert inspect(written(tmp_path / "model.pkl", content)).top == "list"
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()
    with pytest.raises(Unreadable, match="cut short"):
        inspect(written(tmp_path / "model.pkl", b"\x80\x02V" + b"a" * (1 << 20)))


def test_tuples_of_any_length_are_counted(tmp_path: Path) -> None:
    content = b"\x80\x02(K\x01K\x02K\x03tq\x00" + (b"(" + b"h\x00" * 9 + b"tq\x00") * 12 + b"."
    with pytest.raises(Unreadable, match="nests tuples in tuples without end"):
        inspect(written(tmp_path / "model.pkl", content))


@pytest.mark.slow
def test_large_models_pass(tmp_path: Path) -> None:
    model: Any = CountVectorizer()
    model.vocabulary_ = {f"word {index:x}": np.int64(index) for index in range(8_000)}
    for content in (pickle.dumps(model), pickle.dumps(model, 0), lzma.compress(pickle.dumps(model))):
        assert not inspect(written(tmp_path / "model.pkl", content)).refused


def test_the_stack_is_bounded_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty megabytes of lists, one above the other, took 570 MB of the server's own process."""
    monkeypatch.setattr("adapters.formats.pickles.scan.MAX_STACKED", 20_000)
    for way in (b"]" * 40_000, b"(" * 40_000, b"(" + b"N" * 40_000 + b"t"):
        with pytest.raises(Unreadable, match=r"puts more than 20,000 objects on its stack, as no model does"):
            inspect(written(tmp_path / "model.pkl", b"\x80\x04" + way + b"."))
