"""Azure Blob Storage, against Azurite in a process of its own."""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient, ContainerSasPermissions, ContentSettings, generate_container_sas

from server.config.model_uri import Address
from server.loading.storage.errors import StorageError
from server.loading.storage.stores import open_store
from server.loading.storage.stores.azure import AzureBlobs
from tests.server.loading.storage.azurite import ACCOUNT, HOST, KEY, Azurite, azurite, program
from tests.server.loading.storage.kit import Recorder, fetch, tree
from tests.server.loading.storage.test_archives import FILES, make

pytestmark = pytest.mark.slow

BOX = f"https://{HOST}/box"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    command = program()
    if command is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Azurite needs npm: install Node.js")
    with azurite(command, tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture
def box(emulator: Azurite, monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerClient]:
    """An empty container, and KServe's variable for its key."""
    for name, value in emulator.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_STORAGE_ACCESS_KEY", KEY)
    for name in ("AZURE_CLIENT_ID", "AZ_CLIENT_ID", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    client = ContainerClient(f"https://{HOST}", "box", credential=KEY)
    client.create_container()
    yield client
    client.delete_container()


def put(box: ContainerClient, blobs: dict[str, bytes]) -> None:
    for name, data in blobs.items():
        md5 = ContentSettings(content_md5=bytearray(hashlib.md5(data).digest()))
        box.upload_blob(name, data, overwrite=True, content_settings=md5)


@pytest.mark.parametrize("uri", [f"{BOX}/iris", f"{BOX}/iris/"])
def test_a_folder(box: ContainerClient, uri: str, tmp_path: Path) -> None:
    put(box, {"iris/model": b"\x00" * 9, "iris/code/__init__.py": b"", "iris2/model": b"2", "iris.txt": b"beside"})
    recorder = Recorder()
    assert tree(fetch(uri, tmp_path, recorder)) == {"model": b"\x00" * 9, "code/__init__.py": b""}
    assert recorder.steps[-1] == (9, 9)


def test_a_whole_container_one_blob_and_an_archive(box: ContainerClient, tmp_path: Path) -> None:
    put(box, {"m/model.ubj": b"1", "m/model.ubj2": b"2"})
    assert tree(fetch(BOX, tmp_path / "c")) == {"m/model.ubj": b"1", "m/model.ubj2": b"2"}
    assert tree(fetch(f"{BOX}/m/model.ubj", tmp_path / "c")) == {"model.ubj": b"1"}
    put(box, {"m.tar.gz": make(tmp_path / "m.tar.gz", FILES).read_bytes()})
    assert tree(fetch(f"{BOX}/m.tar.gz", tmp_path / "c")) == FILES


def test_only_a_change_is_downloaded(box: ContainerClient, tmp_path: Path) -> None:
    put(box, {"m/a": b"1"})
    first = fetch(f"{BOX}/m", tmp_path)
    recorder = Recorder()
    assert fetch(f"{BOX}/m", tmp_path, recorder) == first
    assert recorder.steps == []
    put(box, {"m/a": b"2"})
    assert tree(fetch(f"{BOX}/m", tmp_path)) == {"a": b"2"}


def test_checksums(box: ContainerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(box, {"m/a": b"0123456789"})
    (file,) = open_store(Address.read(f"{BOX}/m")).look().files
    assert file.checksums == {"md5": hashlib.md5(b"0123456789").hexdigest()}
    monkeypatch.setattr(AzureBlobs, "read", lambda self, file, start: iter([b"0123456?89"[start:]]))
    with pytest.raises(StorageError, match="a arrived damaged"):
        fetch(f"{BOX}/m", tmp_path)


def test_a_broken_stream_goes_on(box: ContainerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * 4000
    put(box, {"m/a": data})
    real, starts = AzureBlobs.read, []

    def read(self: AzureBlobs, file: Any, start: int) -> Any:
        starts.append(start)
        whole = b"".join(real(self, file, start))
        yield whole[:300_000] if len(starts) < 3 else whole
        if len(starts) < 3:
            raise ConnectionResetError

    monkeypatch.setattr(AzureBlobs, "read", read)
    assert tree(fetch(f"{BOX}/m", tmp_path)) == {"a": data}
    assert starts == [0, 300_000, 600_000]


def test_what_changes_meanwhile_is_listed_anew(
    box: ContainerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(box, {"m/a": b"old"})
    real, reads = AzureBlobs.read, []

    def read(self: AzureBlobs, file: Any, start: int) -> Any:
        if not reads:
            put(box, {"m/a": b"new"})
        reads.append(file.tag)
        return real(self, file, start)

    monkeypatch.setattr(AzureBlobs, "read", read)
    recorder = Recorder()
    assert tree(fetch(f"{BOX}/m", tmp_path, recorder)) == {"a": b"new"}
    assert recorder.notes == ["it changed during the download"]


def test_a_signature_in_the_address(box: ContainerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(box, {"m/a": b"1"})
    monkeypatch.delenv("AZURE_STORAGE_ACCESS_KEY")
    expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    may = ContainerSasPermissions(read=True, list=True)
    signature = generate_container_sas(ACCOUNT, "box", KEY, permission=may, expiry=expiry)
    assert tree(fetch(f"{BOX}/m?{signature}", tmp_path)) == {"a": b"1"}
    with pytest.raises(StorageError, match="access is denied: set AZURE_TENANT_ID") as refused:
        fetch(f"{BOX}/m?{signature[:-8]}AAAAAA%3D", tmp_path / "other")
    assert "sig" not in str(refused.value)


def test_reasons(box: ContainerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match="nothing is stored there"):
        fetch(f"{BOX}/m", tmp_path)
    with pytest.raises(StorageError, match="it does not exist"):
        fetch(f"https://{HOST}/nobody/m", tmp_path)
    monkeypatch.setenv("AZURE_STORAGE_ACCESS_KEY", KEY[::-1].replace("=", "A")[:-2] + "==")
    with pytest.raises(StorageError, match="access is denied"):
        fetch(f"{BOX}/m", tmp_path)
    with monkeypatch.context() as patch:
        patch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(StorageError, match="the certificate of its host cannot be verified"):
            fetch(f"{BOX}/m", tmp_path)
