"""Models of one process as another loads them, for tests of what holds copies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from adapters.base import ModelDir
from server.loading.load_spec import LoadSpec
from server.loading.trial.evidence import stamp_of
from server.workers.messages import WorkerModel

Make: TypeAlias = Callable[..., LoadSpec]


def echo_spec(path: Path, line: str = "echo", name: str = "a", version: str = "") -> LoadSpec:
    """How the stand-in adapter's model in this folder is loaded once more; needs `stand_ins`."""
    (path / "model.echo").write_text(line)
    directory = ModelDir.of(path)
    job = WorkerModel("echo", directory, "model.echo", {})
    return LoadSpec(
        name, version, job, stamp_of(directory), batchable=True, batching=True, max_batch_rows=None, lanes=None
    )
