"""Google Cloud Storage, against an emulator in a process of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage

from server.config.model_uri import Address
from server.loading.storage.errors import StorageError
from server.loading.storage.stores import open_store
from server.loading.storage.stores.gcs import GoogleCloud
from tests.server.loading.storage.google_emulator import google_emulator, use_google_emulator
from tests.server.loading.storage.kit import Recorder, fetch, tree
from tests.server.loading.storage.test_archives import FILES, make

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with google_emulator(tmp_path_factory.mktemp("gcs")) as url:
        yield url


@pytest.fixture
def bucket(emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket; nobody has credentials."""
    use_google_emulator(emulator, tmp_path, monkeypatch)
    client = storage.Client.create_anonymous_client()
    client.project = "test"
    bucket = client.create_bucket(f"b{tmp_path.name[-30:].replace('_', '-').lower()}")
    yield bucket
    bucket.delete(force=True)


def put(bucket: Any, **blobs: bytes) -> None:
    for name, data in blobs.items():
        bucket.blob(name.replace("__", "/")).upload_from_string(data)


def test_a_folder(bucket: Any, tmp_path: Path) -> None:
    put(bucket, iris__model=b"\x00" * 9, iris__code__empty=b"", iris2__model=b"2")
    recorder = Recorder()
    for uri in (f"gs://{bucket.name}/iris", f"gs://{bucket.name}/iris/"):
        assert tree(fetch(uri, tmp_path, recorder)) == {"model": b"\x00" * 9, "code/empty": b""}
    assert recorder.steps[-1] == (9, 9)


def test_one_object_and_an_archive(bucket: Any, tmp_path: Path) -> None:
    put(bucket, **{"m/model.ubj": b"1", "m/model.ubj2": b"2"})
    put(bucket, **{"m.tar.gz": make(tmp_path / "m.tar.gz", FILES).read_bytes()})
    assert tree(fetch(f"gs://{bucket.name}/m/model.ubj", tmp_path / "c")) == {"model.ubj": b"1"}
    assert tree(fetch(f"gs://{bucket.name}/m.tar.gz", tmp_path / "c")) == FILES


def test_only_a_change_is_downloaded(bucket: Any, tmp_path: Path) -> None:
    put(bucket, m__a=b"1")
    first = fetch(f"gs://{bucket.name}/m", tmp_path)
    recorder = Recorder()
    assert fetch(f"gs://{bucket.name}/m", tmp_path, recorder) == first
    assert recorder.steps == []
    put(bucket, m__a=b"2")
    assert tree(fetch(f"gs://{bucket.name}/m", tmp_path)) == {"a": b"2"}


def test_checksums(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(bucket, m__a=b"0123456789")
    uri = f"gs://{bucket.name}/m"
    (file,) = open_store(Address.read(uri)).look().files
    assert file.checksums["md5"] == hashlib.md5(b"0123456789").hexdigest()
    monkeypatch.setattr(GoogleCloud, "read", lambda self, file, start: iter([b"0123456?89"[start:]]))
    with pytest.raises(StorageError, match="a arrived damaged"):
        fetch(uri, tmp_path)


def test_a_broken_stream_goes_on(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * 4000
    put(bucket, m__a=data)
    real, starts = GoogleCloud.read, []

    def read(self: GoogleCloud, file: Any, start: int) -> Any:
        starts.append(start)
        whole = b"".join(real(self, file, start))
        yield whole[:300_000] if len(starts) < 3 else whole
        if len(starts) < 3:
            raise ConnectionResetError

    monkeypatch.setattr(GoogleCloud, "read", read)
    assert tree(fetch(f"gs://{bucket.name}/m", tmp_path)) == {"a": data}
    assert starts == [0, 300_000, 600_000]


def test_reasons(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match="it does not exist"):
        fetch("gs://nobody-at-all/m", tmp_path)
    with pytest.raises(StorageError, match="nothing is stored there"):
        fetch(f"gs://{bucket.name}/m", tmp_path)
