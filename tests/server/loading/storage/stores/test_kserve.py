"""What kserve-storage downloads by itself: from servers that speak as a hub and a registry do, by the real clients."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from adapters.base import LoadError
from server.config.model_uri import Address
from server.loading.storage.errors import StorageError
from server.loading.storage.source import Source
from tests.server.loading.storage import kit
from tests.server.loading.storage.kit import tree

pytestmark = pytest.mark.slow

FILES = {"config.json": b'{"model_type": "bert"}', "model.safetensors": bytes(range(256)) * 2000}
COMMITS = ("a" * 40, "b" * 40)


class Answering(ThreadingHTTPServer):
    """Answers from a table: path -> status, headers, body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.table: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[str] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def put(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        self.table[path] = (status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


class _Handler(BaseHTTPRequestHandler):
    server: Answering
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        status, headers, body = self.server.table.get(path, (404, {}, b"{}"))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Not on the terminal."""


@pytest.fixture
def site() -> Iterator[Answering]:
    with Answering() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.shutdown()
        thread.join()


@pytest.fixture
def hub(site: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answering:
    monkeypatch.setenv("HF_ENDPOINT", f"http://{site.host}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    publish(site, COMMITS[0], FILES)
    return site


def publish(site: Answering, commit: str, files: dict[str, bytes], sums: dict[str, str] | None = None) -> None:
    """A commit, at the end of main, of a repository as the hub tells of it."""
    siblings: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for name, data in files.items():
        digest = (sums or {}).get(name) or hashlib.sha256(data).hexdigest()
        siblings.append({"rfilename": name, "size": len(data), "blobId": digest[:40]})
        if name.endswith(".safetensors"):
            siblings[-1]["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 100}
        entries.append({"type": "file", "path": name, "size": len(data), "oid": digest[:40]})
        tag = f'"{hashlib.sha256(data).hexdigest()}"'
        site.put(f"/owner/model/resolve/{commit}/{name}", data, ETag=tag, X_Repo_Commit=commit, Accept_Ranges="bytes")
    site.put(f"/api/models/owner/model/tree/{commit}", json.dumps(entries).encode(), Content_Type="application/json")
    about = json.dumps({"id": "owner/model", "sha": commit, "siblings": siblings, "tags": []}).encode()
    for path in ("", "/revision/main", f"/revision/{commit}"):
        site.put(f"/api/models/owner/model{path}", about, Content_Type="application/json")


def fetch(uri: str, root: Path) -> Path:
    """In a child, which reads the environment anew."""
    return Source("m", Address.read(uri), root).fetch()


def test_a_repository(hub: Answering, tmp_path: Path) -> None:
    first = fetch("hf://owner/model", tmp_path / "cache")
    assert tree(first) == FILES
    asked = len([path for path in hub.asked if "/resolve/" in path])
    assert fetch("hf://owner/model", tmp_path / "cache") == first
    assert len([path for path in hub.asked if "/resolve/" in path]) == asked
    publish(hub, COMMITS[1], {"config.json": b"{}"})
    assert tree(fetch("hf://owner/model", tmp_path / "cache")) == {"config.json": b"{}"}
    assert tree(fetch(f"hf://owner/model:{COMMITS[0]}", tmp_path / "cache")) == FILES


def test_a_damaged_file_of_a_repository(hub: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, which has read the environment already."""
    endpoint = f"http://{hub.host}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    publish(hub, COMMITS[1], FILES, {"model.safetensors": "0" * 64})
    with pytest.raises(StorageError, match=r"model\.safetensors arrived damaged: its sha256 differs"):
        kit.fetch("hf://owner/model", tmp_path / "cache")
    assert not list(tmp_path.rglob("model.safetensors"))


def test_a_repository_that_is_not_there_or_closed(hub: Answering, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"hf://owner/nobody: (it does not exist|access is denied)"):
        fetch("hf://owner/nobody", tmp_path / "cache")
    hub.put("/api/models/owner/gated", b"{}", 403, X_Error_Code="GatedRepo")
    with pytest.raises(LoadError, match=r"hf://owner/gated: access is denied: set HF_TOKEN"):
        fetch("hf://owner/gated", tmp_path / "cache")


@pytest.fixture
def registry(site: Answering, monkeypatch: pytest.MonkeyPatch) -> Answering:
    monkeypatch.setenv("KSERVE_OCI_INSECURE_REGISTRY", "true")
    site.put("/v2/", b"{}")
    push(site, {"models/model.ubj": b"1", "models/code/a.py": b"", "etc/passwd": b"root"})
    return site


def push(site: Answering, files: dict[str, bytes], name: str = "owner/iris") -> None:
    """An image of one layer under the tag v1."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w:gz") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    blob, digest = layer.getvalue(), f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2},
        "layers": [{"mediaType": kind, "digest": digest, "size": len(blob)}],
    }
    site.put(f"/v2/{name}/manifests/v1", json.dumps(manifest).encode(), Content_Type=manifest["mediaType"])
    site.put(f"/v2/{name}/blobs/{digest}", blob, Content_Type="application/octet-stream")


def test_an_image(registry: Answering, tmp_path: Path) -> None:
    uri = f"oci://{registry.host}/owner/iris:v1"
    first = fetch(uri, tmp_path)
    assert tree(first) == {"model.ubj": b"1", "code/a.py": b""}
    blobs = len([path for path in registry.asked if "/blobs/" in path])
    assert fetch(uri, tmp_path) == first
    assert len([path for path in registry.asked if "/blobs/" in path]) == blobs
    push(registry, {"models/model.ubj": b"2"})
    assert tree(fetch(uri, tmp_path)) == {"model.ubj": b"2"}


def test_an_image_that_climbs_out(registry: Answering, tmp_path: Path) -> None:
    push(registry, {"models/../../evil": b"x"})
    with pytest.raises(LoadError, match="outside"):
        fetch(f"oci://{registry.host}/owner/iris:v1", tmp_path / "cache")
    assert not list(tmp_path.rglob("evil"))


def test_an_image_that_is_not_there(registry: Answering, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=rf"oci://{registry.host}/owner/nobody:v1: "):
        fetch(f"oci://{registry.host}/owner/nobody:v1", tmp_path)
