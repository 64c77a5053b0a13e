"""A file of this machine as a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.config.model_uri import Address
from server.loading.storage.errors import StorageError
from server.loading.storage.stores.local import Local


def store(path: Path) -> Local:
    return Local(Address.read(f"file://{path}"))


def test_it_is_listed_and_read_from_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data := b"0123456789" * 200_000)
    (file,) = store(path).look().files
    assert (file.name, file.size) == ("model.bin", len(data))
    assert b"".join(store(path).read(file, 0)) == data
    assert b"".join(store(path).read(file, 1_999_995)) == b"56789"
    assert list(store(path).read(file, len(data))) == []


def test_another_file_is_another_version(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"one")
    before = store(path).look().version
    assert store(path).look().version == before
    (tmp_path / "new").write_bytes(b"two")
    (tmp_path / "new").replace(path)
    assert store(path).look().version != before


@pytest.mark.parametrize(("name", "why"), [("none", "does not exist"), ("folder", "neither a file nor a folder")])
def test_what_is_no_file(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=why):
        store(tmp_path / name).look()
