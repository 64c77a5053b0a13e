"""Checksums: a file is what its store says, by the strongest that it gives."""

from __future__ import annotations

import base64
import hashlib
import zlib
from pathlib import Path

import google_crc32c
import pytest

from server.loading.storage.checksums import ALGORITHMS, from_base64, verify
from server.loading.storage.errors import StorageError
from server.loading.storage.listing import RemoteFile

DATA = b"model" * 300_000
DIGITS = {
    "sha256": hashlib.sha256(DATA).hexdigest(),
    "sha1": hashlib.sha1(DATA).hexdigest(),
    "md5": hashlib.md5(DATA).hexdigest(),
    "crc32": f"{zlib.crc32(DATA):08x}",
    "crc32c": f"{google_crc32c.value(DATA):08x}",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "part"
    path.write_bytes(DATA)
    return path


def file(size: int = len(DATA), **checksums: str) -> RemoteFile:
    return RemoteFile("model.ubj", size, "tag", checksums)


def test_every_algorithm_is_tried_here() -> None:
    assert DIGITS.keys() == ALGORITHMS.keys()


@pytest.mark.parametrize("algorithm", DIGITS)
def test_algorithms(algorithm: str, path: Path) -> None:
    verify(path, file(**{algorithm: DIGITS[algorithm]}))
    verify(path, file(**{algorithm: DIGITS[algorithm].upper()}))
    path.write_bytes(DATA[:-1] + b"L")
    with pytest.raises(StorageError, match=rf"model.ubj arrived damaged: its {algorithm} differs") as refused:
        verify(path, file(**{algorithm: DIGITS[algorithm]}))
    assert refused.value.transient


def test_the_strongest_decides(path: Path) -> None:
    verify(path, file(sha256=DIGITS["sha256"], md5="0" * 32))
    with pytest.raises(StorageError, match="sha256"):
        verify(path, file(sha256="0" * 64, md5=DIGITS["md5"]))


def test_sizes(path: Path) -> None:
    verify(path, file())
    verify(path, file(-1))
    with pytest.raises(StorageError, match=rf"arrived with {len(DATA)} bytes of 7"):
        verify(path, file(7))
    with pytest.raises(StorageError, match="arrived with 0 bytes"):
        verify(path.with_name("absent"), file(-1))


def test_forms_of_a_checksum() -> None:
    assert from_base64(base64.b64encode(b"\x01\xff")) == base64.b64encode(b"\x01\xff").hex()  # bytes are taken raw
    assert from_base64(base64.b64encode(b"\x01\xff").decode()) == "01ff"
    assert from_base64(bytearray(b"\x01\xff")) == "01ff"
    assert from_base64(None) == from_base64("not base64!") == from_base64("AAAA-3") == ""
