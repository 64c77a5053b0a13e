"""The server's side of a download: a process of its own, its progress, its reasons, its end."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from adapters.base import LoadError
from bench.ports import free_port
from server.config.model_uri import Address
from server.loading.storage.source import Source
from tests.processes import command, descendants
from tests.server.loading.storage.kit import running, tree
from tests.server.loading.storage.stores.test_web import DATA, Page, Site
from tests.server.loading.storage.test_archives import FILES, make

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def propagating() -> Iterator[None]:
    """KServe's logger keeps its lines to itself."""
    log = logging.getLogger("kserve")
    before, log.propagate = log.propagate, True
    yield
    log.propagate = before


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.shutdown()
        thread.join()


def source(uri: str, root: Path) -> Source:
    return Source("iris", Address.read(uri), root)


def children() -> list[psutil.Process]:
    return [child for child in descendants() if "server.loading.storage.download_main" in " ".join(command(child))]


def test_from_a_plain_web_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "model.ubj").write_bytes(DATA)
    make(tmp_path / "www" / "m.zip", FILES)
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind=127.0.0.1", f"--directory={tmp_path / 'www'}"]
    with running(command, port, tmp_path / "log"), caplog.at_level("INFO"):
        model = source(f"http://127.0.0.1:{port}/model.ubj", tmp_path / "cache")
        assert tree(model.fetch()) == {"model.ubj": DATA}
        assert tree(source(f"http://127.0.0.1:{port}/m.zip", tmp_path / "cache").fetch()) == FILES
    assert model.status == ""
    assert model.downloaded == len(DATA)
    assert f"model iris: downloading http://127.0.0.1:{port}/model.ubj: 100% of 1000.0 KiB" in caplog.text
    assert "model.ubj is in " in caplog.text


def test_the_status_tells_how_far_it_is(site: Site, tmp_path: Path) -> None:
    page = site.pages["/model.ubj"] = Page(DATA, {"ETag": '"1"'}, ranges=False)
    page.cut = [400_000] * 1000
    model = source(site.url("/model.ubj"), tmp_path)
    failed: list[LoadError] = []

    def run() -> None:
        try:
            model.fetch()
        except LoadError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    seen = set()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not any("% of" in status for status in seen):
        seen.add(model.status)
        time.sleep(0.01)
    page.cut.clear()
    thread.join(30)
    assert failed == []
    assert any(status.startswith(f"downloading {site.url('/model.ubj')}: ") for status in seen)


def test_a_reason_names_the_address_without_secrets(site: Site, tmp_path: Path) -> None:
    uri = site.url("/nobody.ubj?signature=hush").replace("http://", "http://user:hush@")
    with pytest.raises(LoadError) as refused:
        source(uri, tmp_path).fetch()
    assert str(refused.value) == f"{site.url('/nobody.ubj')}: it does not exist"


def test_what_goes_wrong_on_the_way_is_logged(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site.pages["/model.ubj"] = Page(DATA, statuses=[503])
    assert tree(source(site.url("/model.ubj"), tmp_path).fetch()) == {"model.ubj": DATA}
    assert "/model.ubj: the store answers 503; trying again" in caplog.text


def test_a_folder_of_this_machine_is_served_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert source(f"file://{tmp_path}/model", tmp_path / "cache").fetch() == tmp_path / "model"
    assert not (tmp_path / "cache").exists()


def test_a_file_of_this_machine(tmp_path: Path) -> None:
    archive = make(tmp_path / "m.tar.gz", FILES)
    cache = tmp_path / "cache"
    first = source(f"file://{archive}", cache).fetch()
    assert tree(first) == FILES
    assert source(f"file://{archive}", cache).fetch() == first
    (tmp_path / "model.ubj").write_bytes(DATA)
    assert tree(source(f"file://{tmp_path}/model.ubj", cache).fetch()) == {"model.ubj": DATA}
    with pytest.raises(LoadError, match="nobody: it does not exist"):
        source(f"file://{tmp_path}/nobody", cache).fetch()


def test_without_kserve_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LoadError, match=r"kserve-storage is not installed: pip install kserve-storage \("):
        source("s3://bucket/m", tmp_path).fetch()


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(b"1")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LoadError, match=r"m\.bin: "):
        source(f"file://{tmp_path}/m.bin", tmp_path / "file" / "cache").fetch()


def test_a_download_that_dies_has_a_reason(site: Site, tmp_path: Path) -> None:
    page = site.pages["/model.ubj"] = Page(DATA, statuses=[503] * 1000)

    def kill() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and len(page.statuses) == 1000:
            time.sleep(0.01)
        for child in children():
            child.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(LoadError, match=r"model\.ubj: the download ended with status -9"):
        source(site.url("/model.ubj"), tmp_path).fetch()
    thread.join()


def test_the_download_ends_with_the_server(site: Site, tmp_path: Path) -> None:
    site.pages["/model.ubj"] = Page(DATA, statuses=[503] * 1000)
    code = (
        "import sys; from pathlib import Path; from server.loading.storage.source import Source; "
        "from server.config.model_uri import Address; "
        "Source('m', Address.read(sys.argv[1]), Path(sys.argv[2])).fetch()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, site.url("/model.ubj"), str(tmp_path)], cwd=Path.cwd())
    deadline = time.monotonic() + 30
    while not site.asked:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running()
