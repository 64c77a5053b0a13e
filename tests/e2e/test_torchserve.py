"""Model archives through a whole server, asked as TorchServe's clients ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.adapters.torchserve_.archives import archive, classifier, eager, echo, forged, functions
from tests.cases import torch_script
from tests.e2e.process import Server
from tests.patience import wait_for

TEXTS = "def handle(data, context):\n    return [row['body'].upper() for row in data or ()]\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("torchserve")
    work, root = base / "work", base / "models"
    functions(work / "scale", root / "scale")
    functions(work / "tgz", root / "tgz", archive_format="tgz")
    eager(work / "eager", root / "eager")
    echo(work / "echo", root / "echo")
    classifier(work / "vision", root / "vision")
    (work / "texts").mkdir()
    (work / "texts" / "texts.py").write_text(TEXTS)
    archive(work / "texts", "texts", "texts", root / "texts")
    (root / "script").mkdir()
    torch_script(root / "script")
    (root / "custom").mkdir()
    (root / "custom" / "model.py").write_text(
        "import kserve\n\n\nclass Twice(kserve.Model):\n    def load(self):\n        self.ready = True\n\n"
        "    def predict(self, payload, headers=None):\n"
        "        return {'predictions': [2 * x for x in payload['instances']]}\n"
    )
    (root / "climbing").mkdir()
    forged(root / "climbing" / "m.mar", {"h.py": b"", "../evil.py": b""})
    server = Server(root, base / "server.log").wait_scanned()
    yield server
    server.stop()


def post(server: Server, path: str, **request: object) -> httpx.Response:
    return server.client.post(path, **request)  # type: ignore[arg-type]


def test_ping(server: Server) -> None:
    answer = server.client.get("/ping")
    assert (answer.status_code, answer.json()) == (200, {"status": "Healthy"})


def test_v1_gets_a_prediction_an_instance(server: Server) -> None:
    answer = server.predict("scale", {"instances": [[1, 2], [3]]})
    assert (answer.status_code, answer.json()) == (200, {"predictions": [9, 9]})
    assert server.predict("tgz", {"instances": [[1]]}).json() == {"predictions": [3]}
    refused = server.predict("eager", {"instances": ["text"]})
    assert (refused.status_code, refused.json()) == (415, {"error": "send a list of numbers"})


def test_bodies_of_any_type_reach_the_handler_as_torchserve_gives_them(server: Server) -> None:
    image = server.client.put("/predictions/echo", content=b"\x89PNG")  # curl -T
    assert image.json() == {"body": ["bytearray", "\x89PNG"]}
    assert image.headers["x-id"].isdigit()
    assert post(server, "/predictions/echo", json={"a": [1]}).json() == {"body": ["dict", {"a": [1]}]}
    text = post(server, "/predictions/echo", content="héllo", headers={"content-type": "text/plain; charset=utf-8"})
    assert text.json() == {"body": ["str", "héllo".encode().decode("latin-1")]} or text.json()["body"][0] == "str"
    form = post(server, "/predictions/echo?top=3", files={"data": ("x.bin", b"\x00\xff")}, data={"n": "5"})
    assert form.json() == {
        "top": ["bytearray", "3"],
        "data": ["bytearray", "\x00\xff"],
        "n": ["bytearray", "5"],
    }
    fields = post(server, "/predictions/echo", data={"a": "1", "b": "x y"})
    assert fields.json() == {"a": ["bytearray", "1"], "b": ["bytearray", "x y"]}
    curl = post(
        server, "/predictions/echo", content='{"a": 1}', headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert curl.json() == {"body": ["dict", {"a": 1}]}


def test_the_version_of_the_archive_is_one_that_clients_may_name(server: Server) -> None:
    for version in ("1.0", "1"):
        assert post(server, f"/predictions/scale/{version}", json=[1, 2]).json() == 9
        answer = post(server, f"/v1/models/scale/versions/{version}:predict", json={"instances": [[1, 2]]})
        assert answer.json() == {"predictions": [9]}
    assert post(server, "/predictions/scale/1.1", json=[1, 2]).status_code == 404
    assert post(server, "/predictions/script/2", json=[0.25, 0.5, -1, 2]).status_code == 404


def test_answers_keep_their_types_status_and_headers(server: Server) -> None:
    def asked(kind: str) -> httpx.Response:
        return post(server, "/predictions/echo", content=b"", headers={"X-Kind": kind})

    assert asked("bytes").content == b"\x89PNG"
    assert asked("bytes").headers["content-type"] == "image/png"
    assert asked("text").text == "hello"
    assert asked("text").headers["content-type"].startswith("text/plain")
    assert asked("teapot").status_code == 418
    assert asked("crash").status_code == 500
    assert "boom" in asked("crash").json()["error"]
    assert "Traceback" not in asked("crash").text
    assert "answered 2 items for 1 requests" in asked("many").json()["error"]
    refused = post(server, "/predictions/eager", json="text")
    assert (refused.status_code, refused.json()) == (415, {"error": "send a list of numbers"})


def test_default_handlers_take_image_files(server: Server) -> None:
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (300, 260), (200, 30, 90)).save(stream, "JPEG")
    raw = server.client.put("/predictions/vision", content=stream.getvalue())
    assert raw.status_code == 200, raw.text
    assert len(raw.json()) == 5
    assert sum(raw.json().values()) <= 1
    assert post(server, "/predictions/vision", files={"data": stream.getvalue()}).json() == raw.json()


def test_other_models_take_one_instance(server: Server) -> None:
    row = [0.25, 0.5, -1, 2]
    (wanted,) = server.predict("script", {"instances": [row]}).json()["predictions"]
    assert post(server, "/predictions/script", json=row).json() == wanted
    assert post(server, "/predictions/script", content=json.dumps(row)).json() == wanted
    assert post(server, "/predictions/script", json={"instances": [row]}).json() == {"predictions": [wanted]}
    assert post(server, "/predictions/script", content=b"\xff").status_code == 400
    assert post(server, "/predictions/script", json=[1, 2]).status_code == 400
    assert post(server, "/predictions/custom", json=4).json() == 8
    assert post(server, "/predictions/custom", json={"instances": [1, 2]}).json() == {"predictions": [2, 4]}


def test_what_is_not_there_is_404(server: Server) -> None:
    assert post(server, "/predictions/nobody", json=1).status_code == 404
    assert post(server, "/predictions/", json=1).status_code == 404
    missing = post(server, "/predictions/echo/2.0", json=1)
    assert (missing.status_code, missing.json()["error"]) == (404, "model 'echo' has no version '2.0'; it has 1, 1.0")
    assert server.client.get("/predictions/echo").status_code in (404, 405)


def test_an_archive_that_climbs_out_is_not_served(server: Server) -> None:
    entry = server.index()["climbing"]
    assert entry["state"] == "UNAVAILABLE"
    assert "leads out of the archive" in entry["reason"]
    assert post(server, "/predictions/climbing", json=1).status_code == 503


def test_broken_forms_are_the_clients_fault(server: Server) -> None:
    headers = {"content-type": "multipart/form-data"}
    assert post(server, "/predictions/echo", content=b"x", headers=headers).status_code == 400
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert post(server, "/predictions/echo", content=b"--b\r\nnonsense", headers=headers).status_code in (200, 400)


def test_nothing_unpacked_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    functions(tmp_path / "work", tmp_path / "models" / "scale")
    server = Server(tmp_path / "models", tmp_path / "log", TMPDIR=str(tmp_path / "tmp")).wait_ready()
    assert server.predict("scale", {"instances": [[1]]}).status_code == 200, server.log
    assert list((tmp_path / "tmp").glob("polyserve-mar-*"))
    server.stop()
    wait_for(lambda: not list((tmp_path / "tmp").glob("polyserve-mar-*")), "what was unpacked to go")
