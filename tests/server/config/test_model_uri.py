"""Addresses: what is read, what is refused at once, and what is shown of them."""

from __future__ import annotations

import pytest

from server.config.model_uri import Address, named, without_secrets

GOOD = [
    ("s3://bucket/path/to/model", "s3", "bucket", "path/to/model"),
    ("s3://bucket", "s3", "bucket", ""),
    ("gs://bucket/m/", "gs", "bucket", "m/"),
    ("https://host:8443/a/model.tar.gz?x=1", "http", "host", "a/model.tar.gz"),
    ("http://host/model.ubj", "http", "host", "model.ubj"),
    ("https://account.blob.core.windows.net/box/m?sv=1&sig=x", "azure", "account.blob.core.windows.net", "box/m"),
    ("https://account.z12.blob.storage.azure.net/box", "azure", "account.z12.blob.storage.azure.net", "box"),
    ("https://account.file.core.windows.net/share/m", "other", "account.file.core.windows.net", "share/m"),
    ("https://host/owner/model.git", "other", "host", "owner/model.git"),
    ("http://account.blob.core.windows.net/box/m", "http", "account.blob.core.windows.net", "box/m"),
    ("hf://owner/model:main", "hf", "owner", "model:main"),
    ("oci://registry:5000/image:tag", "oci", "registry:5000", "image:tag"),
    ("file:///opt/model", "file", "", "/opt/model"),
]


@pytest.mark.parametrize(("uri", "kind", "host", "path"), GOOD)
def test_addresses(uri: str, kind: str, host: str, path: str) -> None:
    assert Address.read(uri) == Address(uri, kind, host, path)


OTHERS = ("model", "/opt/model", "ftp://host/x", "pvc://claim/x", "s3:/bucket", "s3:///path", "javascript:alert(1)")
BROKEN = ("https://host", "https://", "https://host/", "hf://owner", "hf://owner/", "hf://a/b/c", "http://[::1/x")


@pytest.mark.parametrize("uri", [*OTHERS, *BROKEN, "file://", "file:///", "oci://registry"])
def test_what_is_no_address(uri: str) -> None:
    with pytest.raises(ValueError, match=r"must|is not whole"):
        Address.read(uri)


@pytest.mark.parametrize("uri", ["", "s3://b/\n", "s3://b/two words"])
def test_no_address_has_white_space(uri: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        Address.read(uri)


def test_shown_without_secrets() -> None:
    shown = {
        "https://user:hush@host/m.zip?token=hush": "https://host/m.zip",
        "https://a.blob.core.windows.net/c/m?sv=2020&sig=hush%3D": "https://a.blob.core.windows.net/c/m",
        "s3://bucket/m": "s3://bucket/m",
        "https://x@host/m.git": "https://host/m.git",
    }
    assert {uri: Address.read(uri).shown for uri in shown} == shown


def test_texts_lose_the_secrets_of_the_addresses_in_them() -> None:
    text = "GET https://u:hush@h/p?sig=hush failed (see 'http://h/q?k=hush') ok?"
    assert without_secrets(text) == "GET https://h/p failed (see 'http://h/q') ok?"


def test_names() -> None:
    models = named("iris=s3://b/iris\n  bert=hf://o/bert ")
    assert [(name, address.uri) for name, address in models] == [("iris", "s3://b/iris"), ("bert", "hf://o/bert")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be NAME=URI"),
        ("s3://bucket/iris", "'s3://bucket/iris' must be NAME=URI"),
        ("https://u:hush@h/x?a=b", "'https://h/x' must be NAME=URI"),
        ("a=s3://b/1 a=s3://b/2", "'a' is the name of s3://b/1 already"),
        ("a/b=s3://b/1", "must be a name for an address"),
        ("=s3://b/1", "must be a name"),
        ("a=", "must be one of"),
        ("a=b=c", "must be one of"),
    ],
)
def test_wrong_names(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        named(text)
    assert says in str(refused.value)
