"""What tests of storage share: a recorder of reports, and real servers in processes of their own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from server.config.model_uri import Address
from server.loading.storage.fetch import Fetch

PATIENCE = 60.0
#: tries follow each other at once
QUICK = (0.0, 0.0, 0.0)


class Recorder:
    """`Reports` that remembers."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.notes: list[str] = []

    def progress(self, done: int, total: int) -> None:
        self.steps.append((done, total))

    def note(self, text: str) -> None:
        self.notes.append(text)


def fetch(uri: str, root: Path, recorder: Recorder | None = None, pauses: Sequence[float] = QUICK) -> Path:
    """In this process, as the child does it."""
    return Fetch(Address.read(uri), root, recorder or Recorder(), pauses).run()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, from when it listens."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait(process, port, log)
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"port {port} does not answer: {log.read_text()}")
