"""A folder that is not there, and the one that was meant."""

from __future__ import annotations

from pathlib import Path

from server.config.near_folder import near_folder


def test_the_folder_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "modells").write_text("a file is none")
    assert near_folder(tmp_path / "modles") == tmp_path / "models"
    assert near_folder(tmp_path / "data") is None
    assert near_folder(tmp_path / "nowhere" / "models") is None
