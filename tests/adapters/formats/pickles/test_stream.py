"""The bytes of a pickle file, whatever it is compressed with, and the files that are none."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.formats.pickles import stream
from adapters.formats.pickles.stream import Unreadable, opened, skip, take

DATA = b"\x80\x04" + bytes(range(256)) * 20_000
FORMS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.pkl"


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_it_is_read_and_skipped_from_its_first_byte(path: Path, form: str) -> None:
    path.write_bytes(FORMS[form](DATA))
    with opened(path) as read:
        assert take(read, 2) == DATA[:2]
        skip(read, 3_000_000)
        assert take(read, len(DATA) - 3_000_002) == DATA[3_000_002:]
        assert read.read() == b""


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_more_than_there_is(path: Path, form: str) -> None:
    path.write_bytes(FORMS[form](DATA))
    with opened(path) as read, pytest.raises(EOFError):
        skip(read, len(DATA) + 1)
    with opened(path) as read, pytest.raises(EOFError):
        take(read, 2**62)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_compressed_data_that_is_cut_or_followed_by_more(path: Path, form: str) -> None:
    packed = FORMS[form](DATA)
    path.write_bytes(packed[:-20])
    with opened(path) as read, pytest.raises(EOFError):
        take(read, len(DATA) + 1)
    path.write_bytes(packed + b"more")
    with opened(path) as read, pytest.raises(Unreadable, match="more bytes after the end"):
        take(read, len(DATA) + 1)


@pytest.mark.parametrize("form", ["zlib", "gzip", "bz2", "xz"])
def test_a_bomb_is_found_before_it_is_there(path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_MIN_EXPANSION", 1000)
    path.write_bytes(FORMS[form](bytes(5_000_000)))
    with opened(path) as read, pytest.raises(Unreadable, match="expands to more than 100 times"):
        skip(read, 5_000_000)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"version https://git-lfs.github.com", "git lfs pull"),
        (b"<!doctype html><html>Sign in</html>", "a web page, not the file itself"),
        (b"ZF0x3", "joblib older than 0.10"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"\x89HDF\r\n", "an HDF5 file"),
    ],
)
def test_another_kind_of_file_is_named(path: Path, data: bytes, what: str) -> None:
    path.write_bytes(data)
    with pytest.raises(Unreadable, match=what), opened(path):
        pass
