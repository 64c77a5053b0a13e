"""Plain HTTP: a web server that is good, bad and odd in turn."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.ports import free_port
from server.loading.storage.errors import StorageError
from tests.server.loading.storage.kit import Recorder, fetch, tree
from tests.server.loading.storage.test_archives import FILES, make

DATA = bytes(range(256)) * 4000


@dataclass
class Page:
    """What is at a path, and what goes wrong with it."""

    data: bytes
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    length: bool = True
    statuses: list[int] = field(default_factory=list)  #: of the next answers, while there are some
    redirect: str = ""
    cut: list[int] = field(default_factory=list)  #: the next bodies end after so many bytes


class Site(ThreadingHTTPServer):
    """Pages by path; remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.bodies = 0  #: bytes that were sent

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.path, headers))
        page = self.server.pages.get(urlsplit(self.path).path)
        status = 404 if page is None else page.statuses.pop(0) if page.statuses else 200
        if page is not None and page.redirect:
            self.send_response(302)
            self.send_header("Location", page.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if page is None or status >= 300:
            self.send_error(status)
            return
        start = int(headers.get("range", "bytes=0-")[6:-1]) if page.ranges else 0
        body = page.data[start:]
        self.send_response(206 if start else 200)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if page.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        body = body[: page.cut.pop(0)] if page.cut and (start or len(self.server.asked) > 1) else body
        try:
            self.wfile.write(body)
            self.server.bodies += len(body)
        except ConnectionError:
            pass

    def log_message(self, *_: object) -> None:
        """Not on the terminal."""


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@contextmanager
def serving() -> Iterator[Site]:
    """A site that answers."""
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.shutdown()
        thread.join()


def test_a_file_becomes_a_folder_with_it(site: Site, tmp_path: Path) -> None:
    site.pages["/a/model%20x.ubj"] = Page(DATA)
    recorder = Recorder()
    assert tree(fetch(site.url("/a/model%20x.ubj"), tmp_path, recorder)) == {"model x.ubj": DATA}
    assert recorder.steps[-1] == (len(DATA), len(DATA))


@pytest.mark.parametrize("type_", ["text/plain", "application/json", "application/octet-stream", "text/html", ""])
def test_the_type_that_a_server_claims_does_not_matter(site: Site, type_: str, tmp_path: Path) -> None:
    site.pages["/model.json"] = Page(b"{}", {"Content-Type": type_})
    assert tree(fetch(site.url("/model.json"), tmp_path)) == {"model.json": b"{}"}


@pytest.mark.parametrize("name", ["m.tar.gz", "m.zip", "m.tar"])
def test_archives_are_unpacked(site: Site, name: str, tmp_path: Path) -> None:
    site.pages[f"/{name}"] = Page(make(tmp_path / name, FILES).read_bytes(), {"ETag": '"1"'})
    folder = fetch(site.url(f"/{name}"), tmp_path / "cache")
    assert tree(folder) == FILES
    assert fetch(site.url(f"/{name}"), tmp_path / "cache") == folder


def test_an_archive_that_is_compressed_in_transit_is_taken_as_it_is(site: Site, tmp_path: Path) -> None:
    page = Page(make(tmp_path / "m.tar.gz", FILES).read_bytes(), {"Content-Encoding": "gzip"})
    site.pages["/m.tar.gz"] = page
    assert tree(fetch(site.url("/m.tar.gz"), tmp_path / "cache")) == FILES


def test_a_file_that_is_compressed_in_transit_is_taken_as_it_is_meant(site: Site, tmp_path: Path) -> None:
    site.pages["/model.ubj"] = Page(gzip.compress(DATA), {"Content-Encoding": "gzip"})
    assert tree(fetch(site.url("/model.ubj"), tmp_path)) == {"model.ubj": DATA}


@pytest.mark.parametrize("tag", [{"ETag": '"1"'}, {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}], ids=str)
def test_nothing_is_downloaded_twice(site: Site, tag: dict[str, str], tmp_path: Path) -> None:
    page = site.pages["/model.ubj"] = Page(DATA, tag)
    first = fetch(site.url("/model.ubj"), tmp_path)
    asked = len(site.asked)
    assert fetch(site.url("/model.ubj"), tmp_path) == first
    assert len(site.asked) == asked + 1
    page.data, page.headers = b"new", {name: value.replace("1", "2") for name, value in tag.items()}
    second = fetch(site.url("/model.ubj"), tmp_path)
    assert (tree(second), tree(first)) == ({"model.ubj": b"new"}, {"model.ubj": DATA})


@pytest.mark.parametrize("tag", [{}, {"ETag": 'W/"1"'}], ids=str)
def test_what_cannot_be_told_apart_is_downloaded_again(site: Site, tag: dict[str, str], tmp_path: Path) -> None:
    page = site.pages["/model.ubj"] = Page(DATA, tag)
    fetch(site.url("/model.ubj"), tmp_path)
    page.data = b"new"
    assert tree(fetch(site.url("/model.ubj"), tmp_path)) == {"model.ubj": b"new"}


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on(site: Site, ranges: bool, tmp_path: Path) -> None:
    site.pages["/model.ubj"] = Page(DATA, {"ETag": '"1"'}, ranges=ranges, cut=[400_000, 300_000])
    recorder = Recorder()
    assert tree(fetch(site.url("/model.ubj"), tmp_path, recorder)) == {"model.ubj": DATA}
    assert any("range" in headers for _, headers in site.asked)
    assert recorder.notes
    assert {note.partition(";")[0] for note in recorder.notes} <= {
        "the connection broke or timed out",
        "model.ubj broke off",
    }
    assert recorder.steps[-1] == (len(DATA), len(DATA))


def test_busy_servers_are_asked_again(site: Site, tmp_path: Path) -> None:
    site.pages["/model.ubj"] = Page(DATA, statuses=[503, 429, 500])
    recorder = Recorder()
    assert tree(fetch(site.url("/model.ubj"), tmp_path, recorder)) == {"model.ubj": DATA}
    assert recorder.notes[0] == "the store answers 503; trying again"


@pytest.mark.parametrize(
    ("status", "says"), [(404, "it does not exist"), (403, "access is denied"), (401, "access is denied: set the env")]
)
def test_what_will_not_pass_is_asked_once(site: Site, status: int, says: str, tmp_path: Path) -> None:
    site.pages["/model.ubj"] = Page(DATA, statuses=[status] * 9)
    with pytest.raises(StorageError, match=says):
        fetch(site.url("/model.ubj"), tmp_path)
    assert len(site.asked) == 1


def test_a_file_that_changes_meanwhile_is_listed_anew(site: Site, tmp_path: Path) -> None:
    page = site.pages["/model.ubj"] = Page(DATA, {"ETag": '"1"'})
    original = Handler.end_headers

    def change(handler: Handler) -> None:
        original(handler)
        if len(site.asked) == 1:  # after the listing
            page.data, page.headers = b"new", {"ETag": '"2"'}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Handler, "end_headers", change)
        recorder = Recorder()
        assert tree(fetch(site.url("/model.ubj"), tmp_path, recorder)) == {"model.ubj": b"new"}
    assert recorder.notes == ["it changed during the download"]


SUMS = {
    "Content-MD5": base64.b64encode(hashlib.md5(DATA).digest()).decode(),
    "x-goog-hash": f"crc32c=AAAAAA==,md5={base64.b64encode(hashlib.md5(DATA).digest()).decode()}",
    "Digest": f"sha-256={base64.b64encode(hashlib.sha256(DATA).digest()).decode()}",
    "Repr-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(DATA).digest()).decode()}:",
}


@pytest.mark.parametrize("name", SUMS)
def test_checksums_that_a_server_gives(site: Site, name: str, tmp_path: Path) -> None:
    page = site.pages["/model.ubj"] = Page(DATA, {name: SUMS[name]})
    assert tree(fetch(site.url("/model.ubj"), tmp_path)) == {"model.ubj": DATA}
    page.data = DATA[:-1] + b"?"
    with pytest.raises(StorageError, match=r"model\.ubj arrived damaged"):
        fetch(site.url("/model.ubj"), tmp_path)


def test_headers_from_the_environment(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("127.0.0.1-headers", json.dumps({"Authorization": "Bearer hush"}))
    site.pages["/model.ubj"] = Page(DATA)
    fetch(site.url("/model.ubj?id=3"), tmp_path)
    assert {headers["authorization"] for _, headers in site.asked} == {"Bearer hush"}
    assert {path for path, _ in site.asked} == {"/model.ubj?id=3"}
    for text in ("[]", "{"):
        monkeypatch.setenv("127.0.0.1-headers", text)
        with pytest.raises(StorageError, match=r"the variable 127\.0\.0\.1-headers is no JSON object"):
            fetch(site.url("/model.ubj"), tmp_path)


def test_a_body_without_a_length(site: Site, tmp_path: Path) -> None:
    site.pages["/model.ubj"] = Page(DATA, length=False)
    recorder = Recorder()
    assert tree(fetch(site.url("/model.ubj"), tmp_path, recorder)) == {"model.ubj": DATA}
    assert recorder.steps[-1] == (len(DATA), 0)


def test_a_host_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="its host refuses the connection"):
        fetch(f"http://127.0.0.1:{free_port()}/model.ubj", tmp_path)
    with pytest.raises(StorageError, match=r"its host cannot be found \(DNS\)"):
        fetch("http://nobody.invalid/model.ubj", tmp_path)


def test_what_was_downloaded_before_is_served_while_the_store_is_down(site: Site, tmp_path: Path) -> None:
    page = site.pages["/model.ubj"] = Page(DATA, {"ETag": '"1"'})
    first = fetch(site.url("/model.ubj"), tmp_path)
    page.statuses = [503] * 9
    recorder = Recorder()
    assert fetch(site.url("/model.ubj"), tmp_path, recorder) == first
    assert recorder.notes[-1] == "the store answers 503: the copy that was downloaded before is served"
    page.statuses = [404]
    with pytest.raises(StorageError, match="it does not exist"):
        fetch(site.url("/model.ubj"), tmp_path)


def test_no_room(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    site.pages["/model.ubj"] = Page(DATA)
    with pytest.raises(StorageError, match=rf"it has {len(DATA)} bytes, the disk of --storage_dir has room for 10"):
        fetch(site.url("/model.ubj"), tmp_path)


def test_a_climbing_name_stays_inside(site: Site, tmp_path: Path) -> None:
    site.pages["/x/..%2F..%2Fevil"] = Page(DATA)
    with pytest.raises(StorageError, match="leads out of the model's folder"):
        fetch(site.url("/x/..%2F..%2Fevil"), tmp_path / "cache")
    assert not list(tmp_path.rglob("evil"))
