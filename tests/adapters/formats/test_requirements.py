"""The requirements.txt beside a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import LoadError, ModelDir
from adapters.formats import requirements


def test_the_text_without_its_mark_and_its_margins(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"\xef\xbb\xbf\nscikit-learn==1.5.2\nnumpy<2\n\n")
    assert requirements.beside(ModelDir.of(tmp_path)) == "scikit-learn==1.5.2\nnumpy<2"


def test_none(tmp_path: Path) -> None:
    assert requirements.beside(ModelDir.of(tmp_path)) == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"#" * (requirements.MAX_BYTES + 1), "requirements.txt is longer than 1 MiB"),
        (b"numpy\xff", "requirements.txt is not UTF-8: invalid start byte at byte 5"),
    ],
)
def test_what_is_no_such_text_is_said(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "requirements.txt").write_bytes(content)
    with pytest.raises(LoadError, match=reason):
        requirements.beside(ModelDir.of(tmp_path))


def test_a_link_out_of_the_mount_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.txt").write_text("numpy")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "requirements.txt").symlink_to(tmp_path / "elsewhere.txt")
    with pytest.raises(LoadError, match="leads out of the models directory"):
        requirements.beside(ModelDir.of(tmp_path / "m"))
