"""Google Cloud Storage's stand-in, in a process of its own, and what a client needs to reach it without credentials."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.ports import free_port
from tests.server.loading.storage.kit import running


@contextmanager
def google_emulator(folder: Path) -> Iterator[str]:
    """The address of a running one, with nothing stored in it."""
    port = free_port()
    program = shutil.which("gcp-storage-emulator", path=str(Path(sys.executable).parent))
    assert program is not None
    command = [program, "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
    with running(command, port, folder / "log"):
        yield f"http://127.0.0.1:{port}"


def use_google_emulator(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has credentials, and the bucket is asked for there."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(folder / "none"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
