"""Models from stores in a whole server: beside the mounted ones, with their states, once and for all restarts."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from bench.ports import free_port
from tests.cases import CASES, Expected
from tests.e2e.process import Server
from tests.patience import wait_for
from tests.server.loading.storage.kit import running

MAKE = {case.name: case.make for case in CASES}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, tmp_path_factory.mktemp("moto") / "log"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def aws(endpoint: str) -> dict[str, str]:
    """KServe's variables."""
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "a-very-secret-value"}
    return {**keys, "AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def client(aws: dict[str, str]) -> Any:
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "a-very-secret-value"}
    s3: Any = boto3.client("s3", endpoint_url=aws["AWS_ENDPOINT_URL"], region_name="us-east-1", **keys)
    s3.create_bucket(Bucket="models")
    return s3


def upload(s3: Any, folder: Path, prefix: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), "models", f"{prefix}/{path.relative_to(folder)}")


def model(name: str, folder: Path) -> Expected:
    folder.mkdir(parents=True)
    return MAKE[name](folder)


def answers(server: Server, name: str, expected: Expected) -> bool:
    return bool(server.predict(name, {"instances": expected.instances}).json()["predictions"] == expected.predictions)


def test_beside_the_mounted_ones(client: Any, aws: dict[str, str], tmp_path: Path) -> None:
    root = tmp_path / "models"
    mounted = model("sklearn-logistic", root / "mounted")
    stored = model("xgboost-booster", tmp_path / "upload")
    upload(client, tmp_path / "upload", "xgb")
    flags = (f"--storage_dir={tmp_path / 'cache'}", "--model=xgb=s3://models/xgb", "--model", "none=s3://models/none")
    server = Server(root, tmp_path / "log", *flags, **aws).wait_scanned()
    try:
        index = server.index()
        assert {name: entry["state"] for name, entry in index.items()} == {
            "mounted": "READY",
            "xgb": "READY",
            "none": "UNAVAILABLE",
        }
        assert index["none"]["reason"] == "s3://models/none: nothing is stored there"
        assert answers(server, "mounted", mounted)
        assert answers(server, "xgb", stored)
        refused = server.predict("none", {"instances": [[1]]})
        assert refused.status_code == 503
        assert "nothing is stored there" in refused.json()["error"]
        log = server.log
    finally:
        assert server.stop() == 0
    assert "model xgb: downloading s3://models/xgb: 100% of" in log
    assert "a-very-secret-value" not in log


def test_a_new_version_comes_with_loading_again_and_an_old_one_stays(
    client: Any, aws: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    one, two = model("xgboost-booster", tmp_path / "one"), model("lightgbm-booster", tmp_path / "two")
    upload(client, tmp_path / "one", "m")
    cache = f"--storage_dir={tmp_path / 'cache'}"
    environ = {**aws, "POLYSERVE_MODEL": "m=s3://models/m"}
    server = Server(tmp_path / "models", tmp_path / "log", cache, **environ).wait_ready()
    try:
        assert answers(server, "m", one)
        for key in [each["Key"] for each in client.list_objects_v2(Bucket="models", Prefix="m/")["Contents"]]:
            client.delete_object(Bucket="models", Key=key)
        assert httpx.post(f"{server.url}/v2/repository/models/m/load", timeout=60).status_code == 503
        assert answers(server, "m", one)
        upload(client, tmp_path / "two", "m")
        assert httpx.post(f"{server.url}/v2/repository/models/m/load", timeout=60).status_code == 200
        assert answers(server, "m", two)
    finally:
        assert server.stop() == 0


def test_storage_uri_and_a_restart_without_the_store(client: Any, aws: dict[str, str], tmp_path: Path) -> None:
    """The second start finds the store gone, and serves what the first one has downloaded."""
    (tmp_path / "models").mkdir()
    expected = model("xgboost-booster", tmp_path / "upload")
    upload(client, tmp_path / "upload", "only")
    environ = {**aws, "STORAGE_URI": "s3://models/only", "MODEL_NAME": "xgb", "S3_MAX_ATTEMPTS": "1"}
    cache = f"--storage_dir={tmp_path / 'cache'}"
    for number, url in enumerate((aws["AWS_ENDPOINT_URL"], f"http://127.0.0.1:{free_port()}")):
        environ["AWS_ENDPOINT_URL"] = url
        server = Server(tmp_path / "models", tmp_path / f"log{number}", cache, **environ).wait_ready()
        try:
            assert answers(server, "xgb", expected)
        finally:
            assert server.stop() == 0
    assert "the copy that was downloaded before is served" in server.log


def test_it_listens_and_serves_others_while_a_model_is_downloaded(tmp_path: Path) -> None:
    root = tmp_path / "models"
    expected = model("sklearn-logistic", root / "mounted")
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections, and never answers
    slow_one = f"slow=http://127.0.0.1:{silent.getsockname()[1]}/model.ubj"
    server = Server(root, tmp_path / "log", f"--storage_dir={tmp_path / 'cache'}", f"--model={slow_one}")
    try:
        server.wait_listening()
        begun = ("READY", "downloading")
        wait_for(lambda: (server.index()["mounted"]["state"], server.index()["slow"]["reason"][:11]) == begun)
        slow = server.index()["slow"]
        assert slow["state"] == "LOADING"
        assert slow["reason"].startswith("downloading http://127.0.0.1:")
        assert answers(server, "mounted", expected)
        refused = server.predict("slow", {"instances": [[1]]})
        assert refused.status_code == 503
        assert "downloading http://" in refused.json()["error"]
    finally:
        assert server.stop() == 0
        silent.close()


def test_a_name_clash_ends_the_start(tmp_path: Path) -> None:
    model("sklearn-logistic", tmp_path / "models" / "iris")
    flags = [f"--model_dir={tmp_path / 'models'}", "--model=iris=s3://models/iris"]
    ended = subprocess.run([sys.executable, "-m", "server", *flags], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    names = f"{tmp_path / 'models' / 'iris'} and s3://models/iris"
    assert ended.stderr == f"polyserve: two models are called 'iris': {names}\n"


def test_nothing_is_written_outside_the_cache(client: Any, aws: dict[str, str], tmp_path: Path) -> None:
    """Not even by a bucket that wants it."""
    (tmp_path / "models").mkdir()
    for key in ("bad/../../../evil", "bad/model.ubj"):
        client.put_object(Bucket="models", Key=key, Body=b"x")
    home = tmp_path / "home"
    home.mkdir()
    flags = (f"--storage_dir={tmp_path / 'deep' / 'er' / 'cache'}", "--model=bad=s3://models/bad")
    environ = {**aws, "HOME": str(home), "TMPDIR": str(home)}
    server = Server(tmp_path / "models", tmp_path / "log", *flags, **environ).wait_scanned()
    try:
        assert "leads out of the model's folder" in server.index()["bad"]["reason"]
    finally:
        assert server.stop() == 0
    assert not list(tmp_path.rglob("evil"))
    assert {entry.name for entry in tmp_path.iterdir()} == {"models", "deep", "home", "log"}
    assert not list((tmp_path / "models").rglob("*"))
