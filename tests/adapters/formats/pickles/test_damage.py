"""Bytes that are no pickle, or half of one, or a bomb: a reason each, and never a crash."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adapters.base import LoadError
from adapters.formats.pickles import Unreadable, inspect, load
from tests.adapters.formats.pickles import attacks
from tests.adapters.formats.pickles.kit import COMPRESSIONS, X, Y, dumped, written

pytestmark = pytest.mark.filterwarnings("ignore:Trying to unpickle")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"hello, world\n", "is no pickle"),
        (b'{"learner": {}}', "is no pickle"),
        (b"PK\x03\x04abc", "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x04\x22\x4d\x18abc", "lz4"),
        (b"ZF0x1f  abc", "older than 0.10"),
        (b"\x80\x04", "cut short"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f", "damaged"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "cut short"),
        (b"\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\x7f", "cut short"),
        (b"\x80\x09.", "is no pickle, or a damaged one"),
        (b"\x1f\x8babcdefgh", "is no pickle, or a damaged one"),
        (gzip.compress(pickle.dumps("a"), mtime=0)[:-9], "cut short"),
        (gzip.compress(pickle.dumps("a"), mtime=0) + b"more", "more bytes after the end"),
        (b"BZh9garbage", "is no pickle, or a damaged one"),
        (b"\xfd7zXZ\x00garbage", "is no pickle, or a damaged one"),
        (b"x", "cut short"),
    ],
)
def test_other_files_get_a_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    path = written(tmp_path / "model.pkl", content)
    with pytest.raises(Unreadable, match=reason) as caught:
        inspect(path)
    assert str(caught.value).startswith("model.pkl ")
    with pytest.raises(LoadError, match=r"^model\.pkl "):
        load(path)


@pytest.mark.parametrize("squeeze", [zlib.compress, gzip.compress, bz2.compress, lzma.compress])
def test_a_decompression_bomb_is_found(
    squeeze: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.formats.pickles.stream._MIN_EXPANSION", 2**20)
    path = written(tmp_path / "a.pkl", squeeze(pickle.dumps(bytes(2**24))))
    for read in (inspect, load):
        with pytest.raises(Unreadable, match="expands to more than 100 times"):
            read(path)


def test_nested_tuples_are_found_before_anything_hashes_them(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pkl", b"\x80\x02}(K\x01K\x02t" + b"2\x86" * 60 + b"K\x01s.")
    with pytest.raises(Unreadable, match="nests tuples"):
        inspect(path)


def test_endless_steps_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.formats.pickles.records.MAX_STEPS", 1000)
    with pytest.raises(Unreadable, match="takes more than 1,000 steps"):
        inspect(written(tmp_path / "a.pkl", b"\x80\x02" + b"]" * 2000 + b"."))


def test_deep_nesting_is_no_recursion(tmp_path: Path) -> None:
    assert inspect(written(tmp_path / "a.pkl", b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")).top == "list"


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_truncated_files(models: dict[str, Any], cut: float, compress: Any, tmp_path: Path) -> None:
    path = dumped(models["forest"], tmp_path / "a.joblib", compress)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(Unreadable, match="cut short"):
        inspect(path)
    with pytest.raises(LoadError):
        load(path)


# any bytes at all


def _corpus() -> list[bytes]:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    files = [pickle.dumps(model, protocol) for protocol in range(6)]
    for compress in (0, 3):
        joblib.dump(model, buffer := io.BytesIO(), compress=compress)
        files.append(buffer.getvalue())
    return files


CORPUS = _corpus()


@pytest.mark.parametrize("whole", CORPUS, ids=range(len(CORPUS)))
def test_a_file_that_ends_anywhere_is_cut_short(whole: bytes, tmp_path: Path) -> None:
    for end in (*range(1, 40), *range(40, len(whole) - 1, 7)):
        with pytest.raises(Unreadable, match="cut short"):
            inspect(written(tmp_path / "a.joblib", whole[:end]))


MARK = Path("left-by-a-pickle")
_ATTACKS = [*attacks.crafted(MARK).values(), *attacks.through_libraries(MARK).values()]


def _mutated(data: st.DataObject, whole: bytes) -> bytes:
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    start, length = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 20))
    if data.draw(st.booleans()):
        del content[start : start + length]
    return bytes(content[: data.draw(st.integers(1, max(len(content), 1)))] if data.draw(st.booleans()) else content)


def _survives(path: Path) -> None:
    with suppress(Unreadable):
        inspect(path)
    with suppress(LoadError):
        load(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_models_never_crash(data: st.DataObject, tmp_path: Path) -> None:
    _survives(written(tmp_path / "a.pkl", _mutated(data, data.draw(st.sampled_from(CORPUS)))))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_attacks_never_act(data: st.DataObject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _survives(written(tmp_path / "a.pkl", _mutated(data, data.draw(st.sampled_from(_ATTACKS)))))
    assert not MARK.exists()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_bytes(content: bytes, tmp_path: Path) -> None:
    _survives(written(tmp_path / "a.pkl", content))
