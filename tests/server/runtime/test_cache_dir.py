"""Where caches are: the service's, else the user's, else a folder for temporary files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from server.runtime.cache_dir import cache_directory, forbids_execution


@pytest.fixture
def closed(tmp_path: Path) -> str:
    """A path below which nobody, root included, can make a folder."""
    (tmp_path / "file").write_text("")
    return str(tmp_path / "file")


def test_the_services_own_comes_before_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("CACHE_DIRECTORY", f"{tmp_path / 'service'}:{tmp_path / 'second'}")
    assert cache_directory("models") == tmp_path / "service" / "models"
    monkeypatch.delenv("CACHE_DIRECTORY")
    assert cache_directory("models") == tmp_path / "user" / "polyserve" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory("models") == tmp_path / ".cache" / "polyserve" / "models"


def test_a_cache_that_cannot_be_written_to_is_passed_over(
    tmp_path: Path, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", closed)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory("models") == tmp_path / "polyserve" / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", closed)
    last = cache_directory("models")
    assert last.parent == Path(tempfile.gettempdir())
    assert last.name.startswith("polyserve-models-")


def test_a_file_system_that_runs_nothing_is_told() -> None:
    """Of every file system that is mounted here, as the kernel lists them."""
    mounted = dict(line.split()[1:4:2] for line in Path("/proc/mounts").read_text().splitlines())  # the last one counts
    told = {path: forbids_execution(Path(path)) for path in mounted if os.access(path, os.R_OK)}
    assert told
    assert told == {path: "noexec" in mounted[path].split(",") for path in told}
