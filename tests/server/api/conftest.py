from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.inference.batching.queue import Limits
from server.loading.catalog import scan
from server.loading.loader import Loader
from server.repository.repository import Repository
from tests.server.asking import v1
from tests.server.stand_ins import stand_ins

ROWS = b'{"instances": [[1, 2], [3, 4]]}'


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """One model with two versions (the first is "old"), one without any, one that cannot be loaded."""
    for name, line in {"many/1": "echo", "many/2": "echo", "plain": "echo", "bad": "echo refuse"}.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.echo").write_text(line)
    (tmp_path / "many" / "polyserve.yaml").write_text("versions: all\nlabels: {old: 1}\n")
    may_import = threading.Event()
    may_import.set()
    with stand_ins(monkeypatch), ThreadPoolExecutor(4) as pool:
        repository = Repository(scan(tmp_path), Loader(None, may_import), pool, Limits(), "scan")
        for name in ("many", "plain", "bad"):
            repository.load_model(name)
        repository._lifecycle.scanned = True
        yield repository


def predict(repository: Repository, name: str, version: str | None = None, body: bytes = ROWS) -> None:
    """Ask a model once."""
    asyncio.run(v1(repository.ready_model(name, version), body))
