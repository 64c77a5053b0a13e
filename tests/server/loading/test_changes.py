"""What the watcher takes for a change of a model's files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base import ModelDir
from server.loading import changes, files
from server.loading.catalog import Found
from tests.server.loading import linked_folders

CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is written to": lambda folder: (folder / "one").write_text("other"),
    "a file is touched": lambda folder: os.utime(folder / "one", ns=(1, 1)),
    "a file comes": lambda folder: (folder / "new").touch(),
    "a file goes": lambda folder: (folder / "one").unlink(),
    "a file below comes": lambda folder: (folder / "below" / "new").touch(),
    "a file is replaced by a twin": lambda folder: (folder / ".twin").rename(folder / "one"),
    "a link leads elsewhere": lambda folder: (folder / ".data_tmp").rename(folder / "..data"),
    "a file may be read": lambda folder: (folder / "one").chmod(0o600),
}
NO_CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda folder: None,
    "a file is being copied": lambda folder: (folder / "new.bin.part").touch(),
    "an editor's copy": lambda folder: (folder / "model.py~").touch(),
    "a hidden file": lambda folder: (folder / ".cache").touch(),
    "an empty folder": lambda folder: (folder / "empty").mkdir(),
    "what Python caches": lambda folder: shutil.copytree(folder / "below", folder / "__pycache__", symlinks=True),
    "a file outside": lambda folder: (folder.parent / "outside").write_text("other"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "below").mkdir(parents=True)
    (tmp_path / "outside").write_text("outside")
    for name, text in {"one": "1", ".twin": "1", "below/two": "2"}.items():
        (folder / name).write_text(text)
    os.utime(folder / ".twin", ns=(0, (folder / "one").stat().st_mtime_ns))
    for stamp in ("..1", "..2"):
        (folder / stamp).mkdir()
        (folder / stamp / "file").write_text("same")
    (folder / "..data").symlink_to("..1")
    (folder / ".data_tmp").symlink_to("..2")
    (folder / "file").symlink_to("..data/file")
    (folder / "leads out").symlink_to(tmp_path / "outside")
    (folder / "below" / "loop").symlink_to("..")
    return folder


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(folder: Path, change: str) -> None:
    before = changes.of_folder(folder, folder)
    CHANGES[change](folder)
    assert changes.of_folder(folder, folder).files != before.files


@pytest.mark.parametrize("change", NO_CHANGES)
def test_what_is_no_change_is_not_seen(folder: Path, change: str) -> None:
    before = changes.of_folder(folder, folder)
    NO_CHANGES[change](folder)
    assert changes.of_folder(folder, folder).files == before.files


@pytest.mark.parametrize("change", linked_folders.CHANGES)
def test_a_change_behind_links_is_seen(tmp_path: Path, change: str) -> None:
    found = Found("m", linked_folders.linked_folder(tmp_path))
    before = changes.of_found(found)
    assert before.is_still(changes.of_found(found))
    linked_folders.CHANGES[change](tmp_path)
    assert not before.is_still(changes.of_found(found))


def test_of_a_version_the_files_beside_it_count_too(tmp_path: Path) -> None:
    """`polyserve.yaml` of all versions lies there; other versions do not count."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model").touch()
    found = Found("m", ModelDir.of(tmp_path / "1", tmp_path), version="1", home=tmp_path)
    before = changes.of_found(found)
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "model").touch()
    assert changes.of_found(found) == before
    (tmp_path / "polyserve.yaml").touch()
    assert set(changes.of_found(found).files) == {"model", "../polyserve.yaml"}


def test_what_cannot_be_looked_at_is_empty(tmp_path: Path) -> None:
    found = Found("m", ModelDir.of(tmp_path / "gone", tmp_path))
    assert not changes.of_found(found).files
    assert not changes.of_found(replace(found, directory=ModelDir.of(tmp_path), problem="it is broken")).files


def test_the_newest_time_is_that_of_what_came_last(folder: Path) -> None:
    for name in ("one", "below"):
        os.utime(folder / name, (1, 1))
    newest = changes.of_folder(folder, folder).newest
    assert newest >= max((folder / name).lstat().st_ctime for name in ("one", "below", "below/two", "file"))


def test_a_folder_with_too_many_files_is_seen_as_that(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_ENTRIES", 1)
    stamp = changes.of_folder(folder, folder)
    assert stamp.problem.startswith("the folder holds more than 1 files and folders")
    assert stamp.files == {}
    assert not stamp.is_still(stamp)
