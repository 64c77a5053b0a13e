"""Pickles under any name, and what is none."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import zipfile
import zlib
from pathlib import Path

import joblib
import numpy as np
import pytest

from adapters.base import ModelDir
from adapters.formats.pickled import holds_pickle

THING = {"a": np.arange(3)}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress, bz2.compress, lzma.compress])
def test_pickles_are_told_by_their_bytes(protocol: int, pack: object, tmp_path: Path) -> None:
    (tmp_path / "model.sav").write_bytes(pack(pickle.dumps(THING, protocol)))  # type: ignore[operator]
    assert holds_pickle(ModelDir.of(tmp_path), "model.sav")


def test_joblibs_own_files(tmp_path: Path) -> None:
    for name in ("m", "m.z", "m.gz", "m.bz2", "m.xz", "m.lzma"):
        joblib.dump(THING, tmp_path / name)
        assert holds_pickle(ModelDir.of(tmp_path), name), name


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"\x80",
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
        b"tree\nversion=v4",
        gzip.compress(b"a,b,c", mtime=0),
        gzip.compress(pickle.dumps(THING), mtime=0)[:10],
        b"\x1f\x8b broken",
        b"\x80\x09\x95",
    ],
)
def test_other_files_are_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    assert not holds_pickle(ModelDir.of(tmp_path), "x")


def test_an_archive_is_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("a.pkl", pickle.dumps(THING))
    assert not holds_pickle(ModelDir.of(tmp_path), "x")
