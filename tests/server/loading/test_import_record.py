"""Records of imports: of what they are, whom they are believed from, and that they are away while relied on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from server.loading.import_record import ImportRecord


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_there_once_it_was_kept_and_away_while_it_is_taken() -> None:
    record = ImportRecord.of(["decimal"], {})
    assert not record.take()
    record.keep()
    assert ImportRecord.of(["decimal"], {}).take()
    assert not ImportRecord.of(["decimal"], {}).take()


def test_it_is_of_these_modules_libraries_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ImportRecord.of(["decimal"], {"LD_PRELOAD": "a", "HOSTNAME": "one"}).keep()
    assert not ImportRecord.of(["decimal", "json"], {"LD_PRELOAD": "a"}).take()
    assert not ImportRecord.of(["decimal"], {"LD_PRELOAD": "b"}).take()
    library = tmp_path / "library"
    (library / "new-1.0.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(library)])
    assert not ImportRecord.of(["decimal"], {"LD_PRELOAD": "a"}).take()
    ImportRecord.of(["decimal"], {"LD_PRELOAD": "a"}).keep()
    os.utime(library / "new-1.0.dist-info", (1, 1))  # installed again: the same version, other bytes
    assert not ImportRecord.of(["decimal"], {"LD_PRELOAD": "a"}).take()
    monkeypatch.undo()
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    assert ImportRecord.of(["decimal"], {"LD_PRELOAD": "a", "HOSTNAME": "two"}).take()


def test_anothers_word_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    record = ImportRecord.of(["decimal"], {})
    record.keep()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not record.take()


def test_where_none_can_be_written_there_is_none(cache: Path) -> None:
    record = ImportRecord.of(["decimal"], {})
    (cache / "imports").rmdir()
    (cache / "imports").write_text("a file where its folder should be")
    record.keep()
    assert not record.take()
