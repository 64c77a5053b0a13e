"""Redirects of a web server: credentials stay with their own host, and nobody is sent inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.loading.storage.environ import ALLOWED, PRIVATE_REDIRECTS
from server.loading.storage.errors import StorageError
from server.loading.storage.stores.redirects import check_redirect, is_own
from tests.server.loading.storage.kit import fetch, tree
from tests.server.loading.storage.stores.test_web import Page, Site, serving

SECRETS = {"Authorization": "Bearer hush", "X-Api-Key": "hush", "Cookie": "session=hush"}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("127.0.0.1-headers", json.dumps(SECRETS))
    monkeypatch.setenv("localhost-headers", json.dumps(SECRETS))
    with serving() as site:
        yield site


@pytest.fixture
def other() -> Iterator[Site]:
    with serving() as site:
        yield site


def test_a_redirect_to_the_same_host_keeps_its_credentials(site: Site, tmp_path: Path) -> None:
    site.pages["/old.ubj"] = Page(b"", redirect=site.url("/new.ubj"))
    site.pages["/new.ubj"] = Page(b"data")
    assert tree(fetch(site.url("/old.ubj"), tmp_path)) == {"old.ubj": b"data"}
    assert all(headers["x-api-key"] == "hush" for path, headers in site.asked if path == "/new.ubj")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "[::ffff:10.0.0.1]", "0"]
)
def test_nobody_is_sent_inside(site: Site, other: Site, tmp_path: Path, host: str) -> None:
    site.pages["/m.ubj"] = Page(b"", redirect=f"http://{host}:{other.server_port}/m.ubj")
    other.pages["/m.ubj"] = Page(b"data")
    with pytest.raises(StorageError, match=r"which is a private address; .* start the server with --private_redirects"):
        fetch(site.url("/m.ubj"), tmp_path)
    assert not other.asked


def test_credentials_stay_with_their_host(
    site: Site, other: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PRIVATE_REDIRECTS, ALLOWED)
    site.pages["/m.ubj"] = Page(b"", redirect=other.url("/m.ubj"))
    other.pages["/m.ubj"] = Page(b"data")
    assert tree(fetch(site.url("/m.ubj"), tmp_path)) == {"m.ubj": b"data"}
    assert site.asked
    assert other.asked
    assert "hush" in str(site.asked)
    assert "hush" not in str(other.asked)


@pytest.mark.parametrize(
    "target", ["http://store.example/m", "ftp://store.example/m", "https:///m", "file:///etc/passwd"]
)
def test_nobody_is_sent_to_what_is_less_safe(target: str) -> None:
    with pytest.raises(StorageError, match="it redirects"):
        check_redirect("https://store.example/m", target)


def test_a_host_is_its_scheme_and_port_too() -> None:
    assert is_own("https://a.example/x", "https://a.example:443/y")
    assert not is_own("https://a.example/x", "https://a.example:8443/x")
    assert not is_own("https://a.example/x", "http://a.example/x")
    check_redirect("https://a.example/x", "https://93.184.216.34/y")
