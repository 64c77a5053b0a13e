"""A front process from its first message to its end."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bench.ports import free_port
from server.config.settings import Settings
from server.frontends.frontend import _BOOT
from server.runtime import ipc

pytestmark = pytest.mark.slow


class Started:
    """A front process, and the main one's end of its connection."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(theirs.fileno()), *sys.path], pass_fds=[theirs.fileno()]
            )
        self.connection = ipc.Connection(ours)

    def hang_up(self) -> int:
        self.connection.socket.close()
        return self.process.wait(120)


@pytest.fixture
def started() -> Iterator[Started]:
    started = Started()
    yield started
    started.connection.socket.close()
    started.process.kill()
    started.process.wait(60)


def test_without_a_first_message_it_ends(started: Started) -> None:
    assert started.hang_up() == 0


def test_it_says_that_it_listens_and_ends_when_it_is_told_to(started: Started, tmp_path: Path) -> None:
    port = free_port()
    settings = Settings(http_port=port, enable_grpc=False).plain()
    first = {"id": 7, "settings": settings, "http_port": port, "grpc_port": 0, "directory": str(tmp_path)}
    started.connection.send(ipc.pack(first))
    answer = started.connection.receive()
    assert answer is not None
    assert (answer.fields["id"], answer.fields["error"]) == (7, "")
    refused = httpx.get(f"http://127.0.0.1:{port}/v2/health/live", timeout=60)
    assert (refused.status_code, "main process" in refused.text) == (503, True)  # there is none
    started.connection.send(ipc.pack({"id": 8, "do": "stop", "grace": 5.0}))
    assert started.process.wait(120) == 0
