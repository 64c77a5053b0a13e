"""Payloads arrive in each kind of bucket, against the emulators that downloads are tested with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from azure.storage.blob import ContainerClient
from boto3.session import Session
from google.cloud import storage

from bench.ports import free_port
from server.repository.payloads.payload import Payload, Sender
from server.repository.payloads.sinks import SinkFailed, sink
from tests.server.loading.storage.azurite import HOST, KEY, azurite, program
from tests.server.loading.storage.google_emulator import google_emulator, use_google_emulator
from tests.server.loading.storage.kit import running

pytestmark = pytest.mark.slow

ONE = Payload("request", "abc", "iris", "3", "v1", "application/json", b'{"instances": []}')


class Bucket(NamedTuple):
    target: str  #: what `--payload_log` is told, without a path
    objects: Callable[[], Mapping[str, bytes]]
    elsewhere: str  #: one that is not there


@contextmanager
def amazon(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    port = free_port()
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "a-very-secret-value"}
    told = {**keys, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in told.items():
        patch.setenv(name, value)
    with running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port, folder / "log"):
        client: Any = Session().client("s3")
        client.create_bucket(Bucket="logs")

        def objects() -> Mapping[str, bytes]:
            found = client.list_objects_v2(Bucket="logs").get("Contents", ())
            return {each["Key"]: client.get_object(Bucket="logs", Key=each["Key"])["Body"].read() for each in found}

        yield Bucket("s3://logs", objects, "s3://nobodys")


@contextmanager
def google(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with google_emulator(folder) as url:
        use_google_emulator(url, folder, patch)
        client = storage.Client.create_anonymous_client()
        client.project = "test"
        bucket = client.create_bucket("logs")

        def objects() -> Mapping[str, bytes]:
            return {blob.name: blob.download_as_bytes() for blob in bucket.list_blobs()}

        yield Bucket("gs://logs", objects, "gs://nobodys")


@contextmanager
def microsoft(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    if (command := program()) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Azurite needs npm: install Node.js")
    with azurite(command, folder) as emulator:
        for name, value in {**emulator.environ, "AZURE_STORAGE_ACCESS_KEY": KEY}.items():
            patch.setenv(name, value)
        for name in ("AZURE_CLIENT_ID", "AZ_CLIENT_ID", "NO_PROXY", "no_proxy"):
            patch.delenv(name, raising=False)
        client = ContainerClient(f"https://{HOST}", "logs", credential=KEY)
        client.create_container()

        def objects() -> Mapping[str, bytes]:
            return {name: client.download_blob(name).readall() for name in client.list_blob_names()}

        yield Bucket(f"https://{HOST}/logs", objects, f"https://{HOST}/nobodys")


@pytest.fixture(params=[amazon, google, microsoft])
def bucket(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with request.param(tmp_path, monkeypatch) as made:
        yield made


def test_a_bucket_gets_an_object_of_lines_for_what_came_together(bucket: Bucket) -> None:
    send = sink(f"{bucket.target}/mine/", Sender("svc"))
    send([ONE, ONE])
    send([ONE])
    objects = bucket.objects()
    assert sorted(len(body.splitlines()) for body in objects.values()) == [1, 2]
    assert all(name.startswith("mine/20") and name.endswith(".jsonl") for name in objects)
    (line, *_) = next(iter(objects.values())).splitlines()
    assert (json.loads(line)["model"], json.loads(line)["body"]) == ("iris", {"instances": []})


def test_a_bucket_that_is_not_there_is_told_in_words(bucket: Bucket) -> None:
    with pytest.raises(SinkFailed, match=f"{bucket.elsewhere} takes nothing: .*exist"):
        sink(bucket.elsewhere, Sender())([ONE])
    assert not bucket.objects()
