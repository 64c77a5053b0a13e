"""Archives: unpacked as they are, and refused where they climb out or explode."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from server.loading.storage import archives
from server.loading.storage.archives import is_archive, unpack
from server.loading.storage.errors import StorageError
from tests.server.loading.storage.kit import tree

FILES = {"model.ubj": b"\x00\x01" * 5000, "code/a.py": b"x = 1\n", "code/__init__.py": b""}
NAMES = ["m.tar", "m.tar.gz", "m.tgz", "m.TAR.GZ", "m.tar.bz2", "m.tar.xz", "m.zip"]


def make(path: Path, files: dict[str, bytes], prefix: str = "") -> Path:
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(prefix + name, data)
        return path
    ending = path.name.lower().rpartition(".")[2]
    mode = {"tar": "w", "gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}[ending]
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def tar_with(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prefix", ["", "./"], ids=["plain", "dot"])
def test_every_kind(name: str, prefix: str, tmp_path: Path) -> None:
    prefix = "" if name.endswith(".zip") else prefix
    assert is_archive(name)
    assert tree(unpack(make(tmp_path / name, FILES, prefix), name, tmp_path / "to")) == FILES


@pytest.mark.parametrize("name", ["model.mar", "model.keras", "model.npz", "model.gz", "model.ubj", "tar", "model.pt"])
def test_what_is_no_archive(name: str) -> None:
    assert not is_archive(name)


def test_a_folder_around_the_model_is_left_out_but_a_version_stays(tmp_path: Path) -> None:
    wrapped = make(tmp_path / "m.zip", {f"outer/inner/{name}": data for name, data in FILES.items()})
    assert tree(unpack(wrapped, "m.zip", tmp_path / "to")) == FILES
    numbered = make(tmp_path / "n.zip", {"half/1/saved_model.pb": b"x", "__MACOSX/x": b""})
    assert tree(unpack(numbered, "n.zip", tmp_path / "other")) == {"1/saved_model.pb": b"x"}


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a/..", "..\\evil"])
@pytest.mark.parametrize("kind", ["m.zip", "m.tar.gz"])
def test_members_that_climb_out(kind: str, name: str, tmp_path: Path) -> None:
    archive = make(tmp_path / kind, {"model.ubj": b"x", name: b"evil"})
    with pytest.raises(StorageError, match=r"leads out of the model's folder"):
        unpack(archive, kind, tmp_path / "to")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    "members",
    [
        [member("link", tarfile.SYMTYPE, "../outside")],
        [member("link", tarfile.SYMTYPE, "/etc")],
        [member("link", tarfile.LNKTYPE, "../../outside")],
        [member("link", tarfile.SYMTYPE, ".."), member("link/evil", size=3)],
        [member("a/link", tarfile.SYMTYPE, "../.."), member("a/link/evil", size=3)],
    ],
    ids=["up", "absolute", "hard", "through", "deep"],
)
def test_links_that_lead_out(members: list[tarfile.TarInfo], tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"leads out of the model's folder"):
        unpack(tar_with(tmp_path / "m.tar", *members), "m.tar", tmp_path / "to")
    assert not (tmp_path / "evil").exists()


def test_links_inside_are_kept(tmp_path: Path) -> None:
    inside = tar_with(tmp_path / "m.tar", member("real/a", size=3), member("link", tarfile.SYMTYPE, "real/a"))
    assert tree(unpack(inside, "m.tar", tmp_path / "to")) == {"real/a": b"xxx", "link": b"xxx"}


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_devices(kind: bytes, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"neither a file, a folder nor a link"):
        unpack(tar_with(tmp_path / "m.tar", member("d", kind)), "m.tar", tmp_path / "to")


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(StorageError, match=r"'link' is a link"):
        unpack(tmp_path / "m.zip", "m.zip", tmp_path / "to")


@pytest.mark.parametrize("name", ["m.zip", "m.tar.gz"])
def test_what_explodes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALL", 1 << 20)
    bomb = make(tmp_path / name, {"zeros": bytes(8 << 20)})
    with pytest.raises(StorageError, match=r"unpacks to more than \d+ bytes: over 200 times its size"):
        unpack(bomb, name, tmp_path / "to")
    assert sum(map(len, tree(tmp_path / "to").values())) <= 3 << 20


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    with pytest.raises(StorageError, match=r"more than 3 members"):
        unpack(make(tmp_path / "m.tar", {str(n): b"" for n in range(4)}), "m.tar", tmp_path / "to")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: b"no archive" * 100, lambda data: data[: len(data) // 2]],
    ids=["", "x", "half"],
)
def test_damaged_archives(name: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = make(tmp_path / name, FILES)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StorageError, match=r"the archive is damaged, or not what its name says"):
        unpack(path, name, tmp_path / "to")
