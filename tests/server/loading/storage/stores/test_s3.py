"""Amazon S3's protocol, against moto's server in a process of its own."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from boto3.session import Session

from bench.ports import free_port
from server.config.model_uri import Address
from server.loading.storage.errors import StorageError
from server.loading.storage.stores.s3 import S3
from server.loading.storage.stores.s3 import client as s3_client
from tests.server.loading.storage.kit import Recorder, fetch, running, tree
from tests.server.loading.storage.test_archives import FILES, make

pytestmark = pytest.mark.slow

BUCKET = "models"
PART = 5 << 20  #: the smallest part of an upload in parts


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, tmp_path_factory.mktemp("moto") / "log"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client, an empty bucket, and KServe's variables for both."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-very-secret-value")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("S3_MAX_ATTEMPTS", "1")
    client: Any = Session().client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        keys = [{"Key": each["Key"]} for each in page.get("Contents", ())]
        if keys:
            client.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})
    client.delete_bucket(Bucket=BUCKET)


def put(s3: Any, objects: dict[str, bytes]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=objects[key]), objects))


@pytest.mark.parametrize("uri", ["s3://models/iris", "s3://models/iris/"])
def test_a_folder(s3: Any, uri: str, tmp_path: Path) -> None:
    """Neither what begins alike, nor an empty file, is mistaken; marks of folders are no files."""
    put(s3, {"iris/model.ubj": b"\x00" * 9, "iris/code/__init__.py": b"", "iris/code/": b"", "iris2/model.ubj": b"2"})
    put(s3, {"iris.txt": b"beside"})
    recorder = Recorder()
    assert tree(fetch(uri, tmp_path, recorder)) == {"model.ubj": b"\x00" * 9, "code/__init__.py": b""}
    assert recorder.steps[-1] == (9, 9)


def test_a_whole_bucket(s3: Any, tmp_path: Path) -> None:
    put(s3, {"model/a": b"1", "b": b"2"})
    assert tree(fetch("s3://models", tmp_path)) == {"model/a": b"1", "b": b"2"}


def test_one_object(s3: Any, tmp_path: Path) -> None:
    put(s3, {"m/model.ubj": b"1", "m/model.ubj2": b"2"})
    assert tree(fetch("s3://models/m/model.ubj", tmp_path)) == {"model.ubj": b"1"}


def test_an_archive(s3: Any, tmp_path: Path) -> None:
    put(s3, {"m.tar.gz": make(tmp_path / "m.tar.gz", FILES).read_bytes()})
    assert tree(fetch("s3://models/m.tar.gz", tmp_path / "cache")) == FILES


def test_more_objects_than_one_page_lists(s3: Any, tmp_path: Path) -> None:
    wanted = {f"m/{number:04}": str(number).encode() for number in range(1010)}
    put(s3, wanted)
    assert tree(fetch("s3://models/m", tmp_path)) == {key[2:]: data for key, data in wanted.items()}


def test_only_a_change_is_downloaded(s3: Any, tmp_path: Path) -> None:
    put(s3, {"m/a": b"1", "m/b": b"2"})
    first = fetch("s3://models/m", tmp_path)
    recorder = Recorder()
    assert fetch("s3://models/m", tmp_path, recorder) == first
    assert recorder.steps == []
    put(s3, {"m/b": b"3"})
    second = fetch("s3://models/m", tmp_path)
    assert (tree(first), tree(second)) == ({"a": b"1", "b": b"2"}, {"a": b"1", "b": b"3"})


def test_an_upload_in_parts(s3: Any, tmp_path: Path) -> None:
    """Its ETag is no MD5."""
    data = bytes(range(256)) * (2 * PART // 256)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="m/big")["UploadId"]
    parts = [
        s3.upload_part(
            Bucket=BUCKET, Key="m/big", UploadId=upload, PartNumber=n + 1, Body=data[n * PART : (n + 1) * PART]
        )
        for n in range(2)
    ]
    tags = [{"PartNumber": n + 1, "ETag": part["ETag"]} for n, part in enumerate(parts)]
    s3.complete_multipart_upload(Bucket=BUCKET, Key="m/big", UploadId=upload, MultipartUpload={"Parts": tags})
    assert "-" in s3.head_object(Bucket=BUCKET, Key="m/big")["ETag"]
    assert tree(fetch("s3://models/m", tmp_path)) == {"big": data}


def test_checksums(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="m/a", Body=b"data", ChecksumAlgorithm="SHA256")
    store = S3(Address.read("s3://models/m"))
    (file,) = store.look().files
    assert b"".join(store.read(file, 0)) == b"data"
    assert file.checksums["sha256"] == hashlib.sha256(b"data").hexdigest()
    assert file.checksums["md5"] == hashlib.md5(b"data").hexdigest()


def test_a_damaged_object_is_not_served(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, {"m/a": b"0123456789"})
    real = S3.read

    def read(self: S3, file: Any, start: int) -> Any:
        return iter([b"".join(real(self, file, start)).replace(b"7", b"?")])

    monkeypatch.setattr(S3, "read", read)
    with pytest.raises(StorageError, match="a arrived damaged"):
        fetch("s3://models/m", tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.name == "a"]


def test_what_changes_meanwhile_is_listed_anew(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, {"m/a": b"old"})
    real, reads = S3.read, []

    def read(self: S3, file: Any, start: int) -> Any:
        if not reads:
            put(s3, {"m/a": b"new"})
        reads.append(file.tag)
        return real(self, file, start)

    monkeypatch.setattr(S3, "read", read)
    recorder = Recorder()
    assert tree(fetch("s3://models/m", tmp_path, recorder)) == {"a": b"new"}
    assert recorder.notes == ["it changed during the download"]
    assert len(set(reads)) == 2


def test_a_broken_stream_goes_on(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * 1000
    put(s3, {"m/a": data})
    real, starts = S3.read, []

    def read(self: S3, file: Any, start: int) -> Any:
        starts.append(start)
        for chunk in real(self, file, start):
            yield chunk
            if len(starts) < 3:
                raise ConnectionResetError

    monkeypatch.setattr(S3, "read", read)
    assert tree(fetch("s3://models/m", tmp_path)) == {"a": data}
    assert starts[0] == 0 < starts[1] < starts[2]


@pytest.mark.parametrize("key", ["m/../../evil", "m//evil", "m/./evil", "m/a/../evil"])
def test_keys_that_lead_out(s3: Any, key: str, tmp_path: Path) -> None:
    put(s3, {"m/model": b"1"})
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"evil")
    with pytest.raises(StorageError, match=r"leads out of the model's folder"):
        fetch("s3://models/m", tmp_path / "cache")
    assert not list(tmp_path.rglob("evil"))


def test_patterns(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, {"m/a.safetensors": b"1", "m/a.bin": b"2", "m/config.json": b"3"})
    monkeypatch.setenv("STORAGE_ALLOW_PATTERNS", '["*.safetensors", "*.json"]')
    monkeypatch.setenv("STORAGE_IGNORE_PATTERNS", "config*")
    assert tree(fetch("s3://models/m", tmp_path)) == {"a.safetensors": b"1"}


def test_reasons(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match="the bucket 'nobody' does not exist"):
        fetch("s3://nobody/m", tmp_path)
    with pytest.raises(StorageError, match="nothing is stored there"):
        fetch("s3://models/m", tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageError, match="its host refuses the connection"):
        fetch("s3://models/m", tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://nobody.invalid")
    with pytest.raises(StorageError, match=r"its host cannot be found \(DNS\)"):
        fetch("s3://models/m", tmp_path)


def test_no_credentials(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, {"m/a": b"1"})
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(StorageError, match="there are no credentials: set AWS_ACCESS_KEY_ID"):
        fetch("s3://models/m", tmp_path)
    monkeypatch.setenv("awsAnonymousCredential", "true")
    s3.put_bucket_acl(Bucket=BUCKET, ACL="public-read")
    s3.put_object_acl(Bucket=BUCKET, Key="m/a", ACL="public-read")
    assert tree(fetch("s3://models/m", tmp_path)) == {"a": b"1"}


def test_credentials_that_were_replaced(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("first", "second"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        assert s3_client()._get_credentials().access_key == key


def test_kserves_storage_config(s3: Any, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON secret of a storage spec, which wins over what the environment says."""
    put(s3, {"m/a": b"1"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://nobody.invalid")
    monkeypatch.setenv("STORAGE_CONFIG", f'{{"type": "s3", "endpoint_url": "{endpoint}"}}')
    assert tree(fetch("s3://models/m", tmp_path)) == {"a": b"1"}
