"""Where payloads may go; a mistake ends the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.config import payload_target as module
from server.config.payload_target import bucket_of, payload_target
from server.config.settings import Settings, SettingsError

AZURE = "https://account.blob.core.windows.net/container"


@pytest.mark.parametrize(
    "text",
    [
        *("http://collector:8080/events", "https://user:x@host", "s3://bucket/path", "s3://b", "gs://bucket/path"),
        *(AZURE, f"{AZURE}/path", f"{AZURE}/path?sv=2024&sig=x"),
    ],
)
def test_addresses(text: str) -> None:
    assert payload_target(text) == text


def test_what_is_a_bucket() -> None:
    asked = ("s3://b/x", "gs://b", AZURE, "https://host/x", "/x")
    assert [address and address.kind for address in map(bucket_of, asked)] == ["s3", "gs", "azure", None, None]


def test_a_bucket_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module._LIBRARIES, "gs", "google.cloud.nothing_of_that_name")
    with pytest.raises(ValueError, match="not installed: it comes with kserve-storage"):
        payload_target("gs://bucket")


def test_a_file_in_a_directory_that_is_there(tmp_path: Path) -> None:
    assert payload_target(str(tmp_path / "x.jsonl")) == str(tmp_path / "x.jsonl")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ftp://host/x", r"must be http:// or https:// \(a collector\), s3://bucket/path, gs://bucket/path"),
        ("gs:///x", "must name a bucket, such as gs://bucket/path"),
        ("https://account.blob.core.windows.net/", "is not whole"),
        ("hf://owner/model", "or the path of a file"),
        ("collector:8080", "must begin with http://, as in http://collector:8080; a file of that name is written ./"),
        ("http:///x", "must name the host of a collector"),
        ("s3:///x", "must name a bucket"),
        ("/nowhere/at/all", "must be the path of a file, in a directory that is there"),
        ("/", "must be the path of a file"),
    ],
)
def test_what_cannot_take_any(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        payload_target(text)


def test_a_mistake_repeats_no_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.parse(["--payload_log=ftp://user:hunter2@host/x"], {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["Authorization", "cookie", "x-api-key", "x-auth-token", "x-client-secret"])
def test_what_clients_prove_themselves_by_is_never_logged(name: str) -> None:
    with pytest.raises(SettingsError, match="is never logged"):
        Settings.parse(["--payload_log=/x", f"--payload_log_headers={name}"], {})


def test_how_is_nothing_without_where() -> None:
    for flag in ("--payload_log_share=0.5", "--payload_log_mode=request", "--payload_log_headers=x-tenant"):
        with pytest.raises(SettingsError, match="--payload_log sends on, and that is not given"):
            Settings.parse([flag], {})


@pytest.mark.parametrize("share", ["2", "-1", "nan", "some"])
def test_a_share_is_between_none_and_all(share: str) -> None:
    with pytest.raises(SettingsError, match="must be a share from 0 to 1"):
        Settings.parse([f"--payload_log_share={share}"], {})
