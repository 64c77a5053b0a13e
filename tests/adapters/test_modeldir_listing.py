"""What adapters see of a folder: plain files and folders within the mount, by legible names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters.modeldir import ModelDir, inside, legible


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    """A mount with one model, `m`, and a file beside the mount."""
    (tmp_path / "outside.bin").write_bytes(b"secret")
    model = tmp_path / "mount" / "m"
    (model / "sub" / "deep").mkdir(parents=True)
    (model / "a.bin").write_bytes(b"0123456789")
    (model / "B.BIN").write_bytes(b"b")
    (model / ".hidden").write_bytes(b"")
    (tmp_path / "mount" / "shared.bin").write_bytes(b"shared")
    return tmp_path / "mount"


def test_files_and_folders_are_listed_and_hidden_ones_are_not(mount: Path) -> None:
    folder = ModelDir.of(mount / "m")
    assert (folder.files, folder.dirs, folder.outside, folder.unfit) == (("B.BIN", "a.bin"), ("sub",), (), ())
    assert folder.has("a.bin", "B.BIN")
    assert not folder.has("a.bin", "sub")
    assert folder.named(".bin") == ("B.BIN", "a.bin")
    assert folder.head("a.bin", 4) == b"0123"


def test_links_are_followed_within_the_mount_alone(mount: Path) -> None:
    for name, target in (("in.bin", "../shared.bin"), ("out.bin", "../../outside.bin"), ("lost.bin", "nowhere")):
        (mount / "m" / name).symlink_to(target)
    (mount / "m" / "circle.bin").symlink_to("circle.bin")
    folder = ModelDir.of(mount / "m", mount)
    assert "in.bin" in folder.files
    assert set(folder.outside) == {"out.bin", "lost.bin", "circle.bin"}
    assert folder.head("in.bin") == b"shared"
    with pytest.raises(FileNotFoundError, match=r"out\.bin is not a file of m"):
        folder.file("out.bin")
    assert "in.bin" in ModelDir.of(mount / "m").outside  # where the model itself is the mount


def test_folders_below(mount: Path) -> None:
    folder = ModelDir.of(mount / "m", mount)
    assert folder.folder("") is folder
    assert folder.folder("sub/deep").path == mount / "m" / "sub" / "deep"
    for path in ("..", "sub/..", "a.bin", "sub//deep", "/etc"):
        with pytest.raises(FileNotFoundError):
            folder.folder(path)


def test_what_is_no_file_is_not_opened(mount: Path) -> None:
    os.mkfifo(mount / "m" / "pipe.bin")
    (mount / "m" / "a\nb.bin").write_bytes(b"")
    folder = ModelDir.of(mount / "m")
    assert folder.unfit == ("a\\nb.bin", "pipe.bin")
    assert folder.named(".bin") == ("B.BIN", "a.bin")


def test_a_file_that_becomes_a_pipe_is_not_waited_for(mount: Path) -> None:
    folder = ModelDir.of(mount / "m")
    assert "a.bin" in folder.files
    (mount / "m" / "a.bin").unlink()
    os.mkfifo(mount / "m" / "a.bin")
    assert folder.head("a.bin") == b""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Zoë", "Zoë"),
        ("a b", "a b"),
        ("a\nb", "a\\nb"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
        ("\x1b[", "\\x1b["),
    ],
)
def test_a_name_is_shown_in_one_line(name: str, shown: str) -> None:
    assert legible(name) == shown


def test_a_path_that_leads_to_itself_is_nowhere(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    assert inside(tmp_path / "a" / ".." / "b", tmp_path)
    assert not inside(tmp_path / ".." / "b", tmp_path)
