"""The walk over a model's files: what it follows, what it passes over, and where it ends."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from adapters.base import LoadError, ModelDir
from server.loading import files
from server.loading.files import EntryKind, FileStamp, FolderStamp, is_hidden, paths, stamp_of, walk

SECOND = 1_000_000_000


def nothing(path: str) -> bool:
    return False


def kinds(folder: Path, root: Path | None = None) -> dict[str, EntryKind]:
    return {path: kind for path, kind, _ in walk(folder, root or folder, nothing)}


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    """`m`, and beside it what its links lead to."""
    for name in ("m/model", "m/.hidden", "m/below/one", "shared/two", "../outside"):
        (tmp_path / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mount" / name).write_text(name)
    return tmp_path / "mount"


def test_everything_below_in_order(mount: Path) -> None:
    assert list(kinds(mount / "m").items()) == [
        (".hidden", EntryKind.FILE),
        ("below", EntryKind.FOLDER),
        ("below/one", EntryKind.FILE),
        ("model", EntryKind.FILE),
    ]


def test_links_are_followed_inside_the_mount_alone(mount: Path) -> None:
    model = mount / "m"
    links = {"in": "../shared", "file": "../shared/two", "out": "../../outside", "self": "self", "nowhere": "none"}
    for name, target in links.items():
        (model / name).symlink_to(target)
    seen = kinds(model, mount)
    assert {path: kind for path, kind in seen.items() if path.split("/")[0] in links} == {
        "in": EntryKind.FOLDER,
        "in/two": EntryKind.FILE,
        "file": EntryKind.FILE,
        "out": EntryKind.OUTSIDE,
        "self": EntryKind.OUTSIDE,
        "nowhere": EntryKind.OTHER,
    }
    assert kinds(model, model)["in"] is EntryKind.OUTSIDE  # where the model's folder is the mount


def test_links_that_lead_round_end(mount: Path) -> None:
    (mount / "m" / "below" / "up").symlink_to("..")
    (mount / "m" / "below" / "mount").symlink_to("../..")
    seen = kinds(mount / "m", mount)
    assert seen["below/up"] is EntryKind.ROUND
    assert seen["below/mount"] is EntryKind.FOLDER
    assert seen["below/mount/m"] is EntryKind.ROUND
    assert seen["below/mount/shared/two"] is EntryKind.FILE


def test_what_is_neither_a_file_nor_a_folder(mount: Path) -> None:
    os.mkfifo(mount / "m" / "pipe")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(mount / "m" / "socket"))
        assert {path for path, kind in kinds(mount / "m").items() if kind is EntryKind.OTHER} == {"pipe", "socket"}


def test_a_folder_that_vanishes_meanwhile(mount: Path) -> None:
    entries = walk(mount / "m", mount, is_hidden)
    assert next(entries).path == "below"
    (mount / "m" / "below").rename(mount / "elsewhere")
    assert next(entries)[:2] == ("below", EntryKind.CLOSED)
    assert next(entries).path == "model"


def test_what_is_skipped_is_not_entered(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_ENTRIES", 2)
    assert [each.path for each in walk(mount / "m", mount, lambda path: path in ("below", ".hidden"))] == ["model"]
    assert [each.path for each in walk(mount / "m", mount, is_hidden, deep=False)] == ["below", "model"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        list(walk(tmp_path / "none", tmp_path, nothing))
    stamp = stamp_of(ModelDir.of(tmp_path / "none"))
    assert stamp.problem == "the directory cannot be read: No such file or directory"
    assert not stamp.is_still(stamp)


def test_too_many_files(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_ENTRIES", 3)
    why = "the folder holds more than 3 files and folders"
    with pytest.raises(LoadError, match=f"^{why}: .* --max_model_files$"):
        list(paths(ModelDir.of(mount / "m", mount), hidden=True))
    stamp = stamp_of(ModelDir.of(mount / "m", mount))
    assert stamp.problem.startswith(why)
    assert stamp.files == {}  # a folder that nobody serves takes no memory
    assert not stamp.is_still(stamp)  # whatever the others are


def test_no_more_of_a_large_folder_is_listed_than_may_be(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        (mount / "m" / str(number)).touch()
    looked_at: list[str] = []
    monkeypatch.setattr(files, "MOST_ENTRIES", 10)
    with pytest.raises(files.FolderTooLarge):
        list(files.walk(mount / "m", mount, lambda path: bool(looked_at.append(path))))
    assert len(looked_at) == 11
    assert files.is_crowded(ModelDir.of(mount / "m"))
    files.allow_entries(100)  # (`monkeypatch` puts the bound back)
    assert len(list(files.walk(mount / "m", mount, lambda path: False))) > 50
    assert not files.is_crowded(ModelDir.of(mount / "m"))


def test_too_many_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two links in each folder to the next: no file at all, but a thousand million ways through the folders."""
    monkeypatch.setattr(files, "MOST_ENTRIES", 1000)
    (tmp_path / "shared" / "30").mkdir(parents=True)
    for number in range(30):
        (tmp_path / "shared" / str(number)).mkdir()
        for link in "ab":
            (tmp_path / "shared" / str(number) / link).symlink_to(f"../{number + 1}")
    model = ModelDir.of(tmp_path / "shared" / "0", tmp_path)
    with pytest.raises(LoadError, match=r"^the folder holds more than 1000 files and folders: "):
        files.refuse_strange_files(model)


def test_too_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_LEVELS", 2)
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    why = r"^a/b/c lies in more than 2 folders, or a link leads round in them$"
    with pytest.raises(LoadError, match=why):
        files.refuse_strange_files(ModelDir.of(tmp_path))


def test_a_stamp_tells_everything_but_empty_folders(mount: Path) -> None:
    (mount / "m" / "empty").mkdir()
    (mount / "m" / "out").symlink_to("../../outside")
    before = stamp_of(ModelDir.of(mount / "m", mount))
    assert set(before.files) == {".hidden", "below/one", "model", "out"}
    (mount / "m" / "empty").rmdir()
    assert before.is_still(stamp_of(ModelDir.of(mount / "m", mount)))
    (mount.parent / "outside").write_text("who cares")
    assert before.is_still(stamp_of(ModelDir.of(mount / "m", mount)))
    (mount / "m" / "out").unlink()
    assert not before.is_still(stamp_of(ModelDir.of(mount / "m", mount)))


def test_the_size_counts_every_content_once(mount: Path) -> None:
    model = mount / "m"
    size = sum(len(name) for name in ("m/model", "m/.hidden", "m/below/one"))
    assert stamp_of(ModelDir.of(model, mount)).size == size
    (model / "other name").hardlink_to(model / "model")
    (model / "link").symlink_to("model")
    assert stamp_of(ModelDir.of(model, mount)).size == size
    (model / "weights").symlink_to("../shared")
    assert stamp_of(ModelDir.of(model, mount)).size == size + len("shared/two")


def test_what_kubernetes_mounts_counts_once(tmp_path: Path) -> None:
    (tmp_path / "..2026_01_01").mkdir()
    (tmp_path / "..2026_01_01" / "model").write_bytes(bytes(1000))
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "model").symlink_to("..data/model")
    stamp = stamp_of(ModelDir.of(tmp_path))
    assert set(stamp.files) == {"model"}
    assert stamp.size == 1000


def test_a_file_stamp_has_the_times_of_the_system(mount: Path) -> None:
    file = mount / "m" / "model"
    os.utime(file, (1, 1))
    stamp, status = stamp_of(ModelDir.of(mount / "m", mount)).files["model"], file.stat()
    assert stamp == FileStamp.of(status)
    assert stamp.modified == SECOND
    assert stamp.changed == status.st_ctime_ns > SECOND
    assert (stamp.device, stamp.inode, stamp.mode, stamp.size) == (
        status.st_dev,
        status.st_ino,
        status.st_mode,
        len("m/model"),
    )


def test_stamps_of_different_moments_are_equal_while_nothing_changes() -> None:
    file = FileStamp(1, 2, 3, 4, 5, 6)
    assert FolderStamp({"a": file}, newest=1.0).is_still(FolderStamp({"a": file}, newest=2.0))
    assert not FolderStamp({"a": file}).is_still(FolderStamp({"a": file}, problem="there are more"))
