"""The process that downloads one model, by the lines that it takes and gives."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.server.loading.storage.kit import tree

pytestmark = pytest.mark.slow  # a process each


def start(order: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "server.loading.storage.download_main"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    return process


def told(order: dict[str, Any]) -> list[dict[str, Any]]:
    with start(order) as process:
        assert process.stdout is not None
        lines = [json.loads(line) for line in process.stdout]
        assert process.wait(60) == 0
    return lines


def test_it_tells_how_far_it_is_and_where_the_model_lies(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"data")
    *progress, last = told({"uri": f"file://{tmp_path}/model.bin", "root": str(tmp_path / "cache")})
    assert progress[0] == {"progress": [0, 4]}
    assert tree(Path(last["path"])) == {"model.bin": b"data"}


def test_a_failure_is_a_sentence(tmp_path: Path) -> None:
    (last,) = told({"uri": f"file://{tmp_path}/none.bin", "root": str(tmp_path / "cache")})
    assert last == {"error": "it does not exist"}


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """Whose end of the pipe closes; the store keeps it waiting meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as store:
        uri = f"http://127.0.0.1:{store.getsockname()[1]}/model.bin"
        with start({"uri": uri, "root": str(tmp_path)}) as process:
            client, _ = store.accept()
            with client:
                assert process.poll() is None
                assert process.stdin is not None
                process.stdin.close()
                assert process.wait(60) == 1
