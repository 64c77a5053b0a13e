"""Archives are opened as ever, but for directories that would become more objects than any model has entries."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from adapters.formats.zip_file import DirectoryTooLarge, contents, opened


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("large", b"x" * 3_000_000)
        made.writestr(zipfile.ZipInfo("stored"), b"y" * 2_000_000)
        for number in range(20):
            made.writestr(f"{number}", b"")
    return tmp_path / "a.zip"


def test_members_are_read_whole_however_large_they_are(archive: Path) -> None:
    with opened(archive, max_directory=1_500_000) as made:
        assert contents(made, "large") == b"x" * 3_000_000
        assert contents(made, "stored") == b"y" * 2_000_000
        assert contents(made, "7") == b""
        with pytest.raises(KeyError):
            contents(made, "none")


def test_a_directory_of_many_entries_is_not_read(archive: Path) -> None:
    with (
        pytest.raises(DirectoryTooLarge, match=r"its directory takes \d+ bytes, and 500 are read at most"),
        opened(archive, max_directory=500),
    ):
        pass


def test_what_is_no_archive_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    with pytest.raises(zipfile.BadZipFile, match="not a zip file"), opened(tmp_path / "a"):
        pass
