"""The cache: versions appear whole or not at all, and old ones go."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from server.config.model_uri import Address
from server.loading.storage.download_cache import DownloadedVersions

IRIS = Address.read("s3://bucket/models/iris")


def put(shelf: DownloadedVersions, version: str, content: str = "x") -> Path:
    files = shelf.partial(version) / "files"
    files.mkdir()
    (files / "model").write_text(content)
    return shelf.publish(files, version)


def test_a_version_is_found_once_it_is_published(tmp_path: Path) -> None:
    shelf = DownloadedVersions(tmp_path, IRIS)
    assert shelf.find("1") is None
    files = shelf.partial("1") / "files"
    files.mkdir()
    assert shelf.find("1") is None
    assert shelf.latest() is None
    assert shelf.publish(files, "1") == shelf.find("1") == shelf.latest()
    assert [entry.name for entry in shelf.path.iterdir()] == ["1"]


def test_uris_do_not_share(tmp_path: Path) -> None:
    uris = ["s3://a/m", "s3://b/m", "gs://a/m", "s3://a/m2", "https://h/m?id=1", "https://h/m?id=2", "https://u:p@h/m"]
    assert len({DownloadedVersions(tmp_path, Address.read(uri)).path for uri in uris}) == len(uris)
    assert all(
        "hush" not in str(DownloadedVersions(tmp_path, Address.read(f"https://u:hush@h/{end}?sig=hush")))
        for end in "ab"
    )


def test_a_signature_that_is_renewed_names_the_same_blob(tmp_path: Path) -> None:
    blob = "https://account.blob.core.windows.net/box/m"
    assert (
        DownloadedVersions(tmp_path, Address.read(f"{blob}?sig=1")).path
        == DownloadedVersions(tmp_path, Address.read(f"{blob}?sig=2")).path
    )


def test_names_of_folders_are_harmless(tmp_path: Path) -> None:
    for uri in ("https://h/..%2f..%2fx", "https://h/%00", "s3://b/../..", "https://h/" + "x" * 500, "s3://bucket"):
        path = DownloadedVersions(tmp_path, Address.read(uri)).path
        assert path.parent == tmp_path
        assert len(path.name) < 80


def test_the_newest_and_the_one_before_are_kept(tmp_path: Path) -> None:
    shelf = DownloadedVersions(tmp_path, IRIS)
    for number in range(4):
        folder = put(shelf, str(number))
        os.utime(folder, (number, number))
    assert sorted(entry.name for entry in shelf.path.iterdir()) == ["2", "3"]


def test_use_counts_as_much_as_age(tmp_path: Path) -> None:
    shelf = DownloadedVersions(tmp_path, IRIS)
    for number in (1, 2):
        os.utime(put(shelf, str(number)), (number, number))
    assert shelf.find("1") is not None
    put(shelf, "3")
    assert sorted(entry.name for entry in shelf.path.iterdir()) == ["1", "3"]


def test_what_was_broken_off_for_another_version_goes(tmp_path: Path) -> None:
    shelf = DownloadedVersions(tmp_path, IRIS)
    old = shelf.partial("1")
    (old / "files").mkdir()
    assert shelf.partial("1") == old
    assert (old / "files").exists()
    shelf.partial("2")
    assert not old.exists()


def test_one_at_a_time(tmp_path: Path) -> None:
    shelf = DownloadedVersions(tmp_path, IRIS)
    waited, order = threading.Event(), []

    def second() -> None:
        with DownloadedVersions(tmp_path, IRIS).locked(waited.set):
            order.append("second")

    with shelf.locked(lambda: order.append("waited for nobody")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(60)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]
