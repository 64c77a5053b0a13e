"""Transfers against a store that fails in every way: what arrives is whole, what is whole is not fetched again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.config.model_uri import Address
from server.loading.storage.errors import StorageError
from server.loading.storage.listing import Listing, RemoteFile
from server.loading.storage.transfer import Patience, Transfer
from tests.server.loading.storage.kit import QUICK, tree

ADDRESS = Address.read("s3://bucket/m")


class Shaky:
    """A store in memory. `breaks[name]` lists what happens to the reads of a file, one after the other."""

    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("__", "/"): data for name, data in files.items()}
        self.breaks: dict[str, list[object]] = {}
        self.reads: list[tuple[str, int]] = []

    def listing(self, checksums: bool = True) -> Listing:
        return Listing(tuple(self._file(name, data, checksums) for name, data in self.files.items()))

    def _file(self, name: str, data: bytes, checksums: bool) -> RemoteFile:
        return RemoteFile(name, len(data), "t", {"md5": hashlib.md5(data).hexdigest()} if checksums else {})

    def read(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        self.reads.append((file.name, start))
        data, event = self.files[file.name], (self.breaks.get(file.name) or [None]).pop(0)
        if isinstance(event, Exception):
            yield data[start : start + 1]
            raise event
        if event == "ends":
            yield data[start:-1][:3]
            return
        if event == "damaged":
            data = b"?" * len(data)
        for at in range(start, len(data), 3):
            yield data[at : at + 3]

    def transfer(self, folder: Path, notes: list[str] | None = None, checksums: bool = True) -> Transfer:
        told = notes if notes is not None else []
        return Transfer(self.read, self.listing(checksums), folder, Patience(ADDRESS, QUICK, told.append))


def test_all_files_with_their_folders(tmp_path: Path) -> None:
    store = Shaky(a=b"1234567", sub__b=b"xyz", sub__deep__empty=b"")
    transfer = store.transfer(tmp_path)
    assert tree(transfer.run()) == {"a": b"1234567", "sub/b": b"xyz", "sub/deep/empty": b""}
    assert transfer.done == 10


@pytest.mark.parametrize("event", [ConnectionResetError(), "ends"], ids=["reset", "ends"])
def test_what_broke_off_goes_on_where_it_ended(event: object, tmp_path: Path) -> None:
    store = Shaky(a=b"0123456789")
    store.breaks["a"] = [event, event]
    transfer = store.transfer(tmp_path)
    assert tree(transfer.run()) == {"a": b"0123456789"}
    starts = [start for _, start in store.reads]
    assert starts == sorted(starts)
    assert starts[0] == 0 < starts[1] < starts[2]
    assert transfer.done == 10


def test_progress_starts_the_count_of_tries_anew(tmp_path: Path) -> None:
    store = Shaky(a=b"0123456789")
    store.breaks["a"] = [ConnectionResetError() for _ in range(8)]
    notes: list[str] = []
    assert tree(store.transfer(tmp_path, notes).run()) == {"a": b"0123456789"}
    assert notes == ["the connection broke or timed out; trying again"] * 8


def test_what_is_damaged_is_fetched_again_from_the_start(tmp_path: Path) -> None:
    store = Shaky(a=b"0123456789")
    store.breaks["a"] = ["damaged", "damaged"]
    transfer = store.transfer(tmp_path)
    assert tree(transfer.run()) == {"a": b"0123456789"}
    assert store.reads == [("a", 0)] * 3
    assert transfer.done == 10


def test_what_stays_damaged_is_given_up_and_is_not_there(tmp_path: Path) -> None:
    store = Shaky(a=b"0123456789")
    store.breaks["a"] = ["damaged"] * 100
    with pytest.raises(StorageError, match="a arrived damaged: its md5 differs"):
        store.transfer(tmp_path).run()
    assert tree(tmp_path / "files") == {}
    assert len(store.reads) == len(QUICK) + 1


def test_without_checksums_the_length_still_counts(tmp_path: Path) -> None:
    store = Shaky(a=b"0123456789")
    listing = Listing((RemoteFile("a", 7, "t"),))
    with pytest.raises(StorageError, match="arrived with 10 bytes of 7"):
        Transfer(store.read, listing, tmp_path, Patience(ADDRESS, QUICK)).run()


def test_what_cannot_work_is_not_tried_again(tmp_path: Path) -> None:
    store = Shaky(a=b"0123456789", b=b"x")
    store.breaks["a"] = [PermissionError(13, "Permission denied", "/x")]
    with pytest.raises(StorageError, match="/x cannot be written"):
        store.transfer(tmp_path).run()
    assert [name for name, _ in store.reads].count("a") == 1


def test_a_later_start_fetches_only_what_is_missing(tmp_path: Path) -> None:
    store = Shaky(a=b"0123456789", b=b"whole", sub__c=b"whole too")
    store.breaks["a"] = [ValueError("for good")]
    with pytest.raises(StorageError, match="for good"):
        store.transfer(tmp_path).run()
    assert tree(tmp_path / "files").get("a") is None
    there = set(tree(tmp_path / "files"))
    store.reads.clear()
    transfer = store.transfer(tmp_path)
    assert tree(transfer.run()) == {"a": b"0123456789", "b": b"whole", "sub/c": b"whole too"}
    assert {name for name, _ in store.reads}.isdisjoint(there)
    assert ("a", 1) in store.reads
    assert transfer.done == 24


def test_one_failure_stops_the_others(tmp_path: Path) -> None:
    endless = threading.Event()

    def read(file: RemoteFile, start: int) -> Iterator[bytes]:
        if file.name == "bad":
            raise ValueError("broken for good")
        while not endless.wait(0.001):
            yield b"x"

    listing = Listing((RemoteFile("good", 10**9, "t"), RemoteFile("bad", 5, "t")))
    try:
        with pytest.raises(StorageError, match="broken for good"):
            Transfer(read, listing, tmp_path, Patience(ADDRESS, QUICK)).run()
    finally:
        endless.set()
