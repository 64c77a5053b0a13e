"""Whatever changes between the first check of a folder and its load is seen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.base import LoadError, ModelDir
from server.loading import files
from server.loading.seal import FilesChanged, Seal


@pytest.fixture
def model(tmp_path: Path) -> ModelDir:
    folder = tmp_path / "mount" / "m"
    (folder / "below").mkdir(parents=True)
    (folder / "model.echo").write_text("echo")
    (folder / "below" / "weights").write_text("1234")
    return ModelDir.of(folder, tmp_path / "mount")


def _swap_and_back(folder: Path) -> None:
    """Another file for a moment, then the very first one again."""
    evil = folder.parent.parent / "evil"
    evil.write_text("evil")
    (folder / "model.echo").rename(evil.with_name("kept"))
    evil.rename(folder / "model.echo")
    evil.with_name("kept").rename(folder / "model.echo")


def _swap_folder_and_back(folder: Path) -> None:
    away = folder.parent.parent / "away"
    folder.rename(away)
    folder.mkdir()
    folder.rmdir()
    away.rename(folder)


def _same_size_and_age(folder: Path) -> None:
    status = (folder / "below" / "weights").stat()
    (folder / "below" / "weights").write_text("4321")
    os.utime(folder / "below" / "weights", ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "written": (lambda folder: (folder / "model.echo").write_text("echo, evil"), "model.echo"),
    "same size and age": (_same_size_and_age, "below/weights"),
    "gone": (lambda folder: (folder / "below" / "weights").unlink(), "below/weights"),
    "another": (lambda folder: shutil.copy(__file__, folder / "model.echo"), "model.echo"),
    "there and back": (_swap_and_back, "model.echo"),
    "a folder there and back": (_swap_folder_and_back, "the folder"),
    "new": (lambda folder: (folder / "below" / "model.py").touch(), "below/model.py"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_named(model: ModelDir, change: str) -> None:
    seal = Seal.of(model)
    seal.check()
    do, name = CHANGES[change]
    do(model.path)
    with pytest.raises(FilesChanged, match=f"^{name} was changed after it was checked$"):
        seal.check()


def test_code_may_write_beside_what_was_checked(model: ModelDir) -> None:
    seal = Seal.of(model)
    (model.path / "__pycache__").mkdir()
    (model.path / "__pycache__" / "model.pyc").touch()
    seal.check(additions=True)
    (model.path / "model.echo").write_text("evil")
    with pytest.raises(FilesChanged, match=r"^model\.echo"):
        seal.check(additions=True)


def test_a_folder_that_cannot_be_looked_through(model: ModelDir, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LoadError, match="cannot be read: No such file"):
        Seal.of(ModelDir.of(model.path / "none"))
    seal = Seal.of(model)
    monkeypatch.setattr(files, "MOST_ENTRIES", 2)
    with pytest.raises(files.FolderTooLarge):
        Seal.of(model)
    with pytest.raises(files.FolderTooLarge):
        seal.check()
