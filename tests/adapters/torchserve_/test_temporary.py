"""A folder that goes with whoever made it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from adapters.torchserve_ import temporary
from adapters.torchserve_.temporary import TemporaryFolder
from tests.patience import wait_for


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_empty_and_private_and_gone_when_it_is_closed(place: Path) -> None:
    made = TemporaryFolder()
    assert list(made.folder.iterdir()) == []
    assert made.folder.is_relative_to(place)
    assert made._base.stat().st_mode & 0o077 == 0
    (made.folder / "file").write_bytes(b"x")
    made.close()
    assert list(place.iterdir()) == []


def test_another_one_in_use_is_left_alone_and_what_is_left_behind_is_not(place: Path) -> None:
    used = TemporaryFolder()
    left = place / f"{temporary._PREFIX}left"
    (left / "model").mkdir(parents=True)
    (left / temporary._LOCK).touch()  # whose holder has died with the machine
    other = TemporaryFolder()
    assert used.folder.is_dir()
    assert not left.exists()
    for each in (used, other):
        each.close()


@pytest.mark.parametrize(("age", "stays"), [(0, True), (3600, False)])
def test_one_without_a_lock_may_be_about_to_get_it(place: Path, age: int, stays: bool) -> None:
    base = place / f"{temporary._PREFIX}new"
    base.mkdir()
    os.utime(base, (base.stat().st_mtime - age,) * 2)
    TemporaryFolder().close()
    assert base.exists() == stays


def test_it_goes_with_the_process(place: Path) -> None:
    if (pid := os.fork()) == 0:
        TemporaryFolder()
        os._exit(0)
    os.waitpid(pid, 0)
    wait_for(lambda: list(place.iterdir()) == [], "the folder to be removed")


def test_without_a_shell_the_next_one_removes_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> None:
        raise FileNotFoundError("/bin/sh")

    monkeypatch.setattr(temporary.subprocess, "Popen", absent)
    made = TemporaryFolder()
    assert made._remover is None
    made.close()
    assert list(place.iterdir()) == []
