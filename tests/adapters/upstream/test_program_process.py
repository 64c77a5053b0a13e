"""A program as a child: ready when it says so, ended when it is told to, and its folder with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from adapters.base import LoadError
from adapters.upstream.program_process import ProgramProcess, socket_folder
from tests.patience import wait_for


def test_a_socket_s_folder_is_its_owner_s_alone() -> None:
    folder = socket_folder()
    try:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert list(folder.iterdir()) == []
    finally:
        folder.rmdir()


def test_folders_of_workers_that_were_killed_are_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as short:  # a socket's path may not be long
        monkeypatch.setattr("tempfile.tempdir", short)
        highest = int(Path("/proc/sys/kernel/pid_max").read_text())
        gone, here = (Path(short, f"polyserve-engine-{pid}-a") for pid in (highest + 1, os.getpid()))
        gone.mkdir()
        here.mkdir()
        made = socket_folder()
        assert {*Path(short).iterdir()} == {here, made}


def test_where_there_is_no_place_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(LoadError, match=r"no place for the program's socket in .* \(TMPDIR\): AF_UNIX path too long"):
        socket_folder()
    assert list(folder.iterdir()) == []


def test_where_nobody_may_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket.socket, "listen", forbidden)
    with pytest.raises(LoadError, match="--sandbox forbids it"):
        socket_folder()


def test_what_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="no-such-program cannot be started: No such file"):
        ProgramProcess(["/no-such-program"], {}, tmp_path / "own", tmp_path / "s")


def test_one_that_does_not_listen_to_its_signal_is_made_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.upstream.program_process._GRACE", 0.1)
    folder = tmp_path / "own"
    folder.mkdir()
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('deaf', 'w'); time.sleep(1000)"
    process = ProgramProcess([sys.executable, "-c", code], dict(os.environ), folder, folder / "s")
    deaths: list[str] = []
    process.watch(deaths.append)
    wait_for((folder / "deaf").exists, "it to be deaf")
    process.close()
    assert not psutil.pid_exists(process.pid)
    assert not folder.exists()
    assert deaths == []


def test_the_worker_ends_with_its_reason() -> None:
    code = "from adapters.upstream.program_process import end_worker; end_worker('vllm has ended (SIGKILL)')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (70, "vllm has ended (SIGKILL)\n")
