"""From an address to a folder: kept, taken up again, and told of."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server.config.model_uri import Address
from server.loading.storage import fetch
from server.loading.storage.errors import StorageError
from server.loading.storage.fetch import MOST_CHANGES, Fetch
from tests.server.loading.storage.kit import tree
from tests.server.loading.storage.test_archives import FILES, make


class Told:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.far: list[tuple[int, int]] = []
        self.notes: list[str] = []

    def progress(self, done: int, total: int) -> None:
        self.far.append((done, total))

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def told() -> Told:
    return Told()


def fetched(path: Path, told: Told) -> Path:
    return Fetch(Address.read(f"file://{path}"), path.parent / "cache", told, pauses=()).run()


def test_a_file_comes_into_a_folder_of_its_own_once(tmp_path: Path, told: Told) -> None:
    (tmp_path / "model.bin").write_bytes(b"data")
    folder = fetched(tmp_path / "model.bin", told)
    assert tree(folder) == {"model.bin": b"data"}
    assert (told.far[0], told.far[-1]) == ((0, 4), (4, 4))
    told.far.clear()
    assert fetched(tmp_path / "model.bin", told) == folder
    assert not told.far


def test_an_archive_is_unpacked(tmp_path: Path, told: Told) -> None:
    make(tmp_path / "m.zip", FILES)
    assert tree(fetched(tmp_path / "m.zip", told)) == FILES


def test_what_is_not_there_is_the_reason(tmp_path: Path, told: Told) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        fetched(tmp_path / "none.bin", told)


def test_without_room_nothing_is_begun(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.bin").write_bytes(b"data")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3))
    with pytest.raises(StorageError, match="it has 4 bytes, the disk of --storage_dir has room for 3"):
        fetched(tmp_path / "model.bin", told)
    assert not told.far


def offline(*_: Any) -> Any:
    raise StorageError("nobody answers", offline=True)


def test_where_nobody_answers_the_kept_copy_is_served(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.bin").write_bytes(b"data")
    folder = fetched(tmp_path / "model.bin", told)
    monkeypatch.setattr(fetch, "open_store", offline)
    assert fetched(tmp_path / "model.bin", told) == folder
    assert any("the copy that was downloaded before is served" in note for note in told.notes)
    with pytest.raises(StorageError, match="nobody answers"):
        fetched(tmp_path / "other.bin", told)


def test_what_changes_again_and_again_is_given_up(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.bin").write_bytes(b"data")

    def changed(*_: Any) -> Any:
        raise StorageError("it changed", changed=True)

    monkeypatch.setattr(Fetch, "_download", changed)
    with pytest.raises(StorageError, match=f"it changed {MOST_CHANGES} times"):
        fetched(tmp_path / "model.bin", told)
    assert told.notes == ["it changed"] * MOST_CHANGES
