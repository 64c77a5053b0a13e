"""KServe's ModelCars: the mount is a link to `/proc/PID/root/models`, what another process has there.

A process with mounts of its own stands in for the sidecar: its `models` is a file system that nobody else sees.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import Server
from tests.e2e.test_hot_reload import model, put, until

ONES = {"instances": [[1.0, 1.0]]}
SIDECAR = 'mount -t tmpfs none "$1" && echo mounted && exec sleep 1000'


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Path]:
    """The sidecar's `models`, as this process reaches it."""
    models = tmp_path / "models"
    models.mkdir()
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed")
    command = [unshare, "--map-root-user", "--mount", "sh", "-c", SIDECAR, "sh", str(models)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "mounted\n":
            assert process.stderr is not None
            pytest.skip(f"this system gives no mounts of its own: {process.stderr.read()}")
        yield Path(f"/proc/{process.pid}/root{models}")
    finally:
        process.kill()
        process.communicate()


def answer(server: Server, name: str) -> list[float]:
    found = server.predict(name, ONES)
    return found.json()["predictions"] if found.status_code == 200 else []  # type: ignore[no-any-return]


def test_a_folder_of_models_in_another_process_is_served(sidecar: Path, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.symlink_to(sidecar)
    put(sidecar / "m" / "model.joblib", model(1.0))
    for name, target in {"inner": "m", "outer": str(tmp_path / "secret"), "climbs": "../secret"}.items():
        (sidecar / name).symlink_to(target)
    put(tmp_path / "secret" / "model.joblib", model(9.0))  # of this process: the sidecar's link names it
    put(sidecar / "leaks" / "a", b"")
    (sidecar / "leaks" / "model.joblib").symlink_to(tmp_path / "secret" / "model.joblib")
    assert not (tmp_path / "models" / "m").exists()  # nobody else sees it
    flags = ("--watch_interval=0.1", "--watch_settle=0.2", "--enable_grpc=false")
    server = Server(mount, tmp_path / "log", *flags).wait_scanned()
    try:
        assert answer(server, "m") == answer(server, "inner") == [1.0]
        index = server.index()
        for name in ("outer", "climbs", "leaks"):
            assert index[name]["state"] == "UNAVAILABLE"
            assert "leads out of the models directory" in index[name]["reason"], index[name]
        put(sidecar / "m" / "model.joblib", model(2.0))
        until(lambda: answer(server, "m") == [2.0], server)
        put(sidecar / "late" / "model.joblib", model(3.0))
        until(lambda: answer(server, "late") == [3.0], server)
        shutil.rmtree(sidecar / "late")
        until(lambda: server.predict("late", ONES).status_code == 404, server)
    finally:
        assert server.stop() == 0


def test_one_model_that_is_the_mount_is_served(sidecar: Path, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.symlink_to(sidecar)
    put(sidecar / "model.joblib", model(4.0))
    server = Server(mount, tmp_path / "log", "--model_name=car", "--enable_grpc=false").wait_ready()
    try:
        assert answer(server, "car") == [4.0]
    finally:
        assert server.stop() == 0
