from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from adapters.base import ModelDir
from server.workers.launch import WorkerSpec
from server.workers.messages import WorkerModel
from server.workers.worker_pool import WorkerPool
from tests.patience import wait_for
from tests.processes import alive, descendants

HERE = Path(__file__).parent
ME = psutil.Process()
OTHERS: set[int] = set()


@pytest.fixture(scope="module", autouse=True)
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The odd adapters, installed as a package's entry points: workers find them as they find any."""
    site = tmp_path_factory.mktemp("site")
    (site / "odd_adapters.py").write_text((HERE / "odd_adapters.py").read_text())
    metadata = site / "odd-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    points = [f"{name} = odd_adapters:{name.title()}Adapter" for name in ("odd", "whole", "own", "parts")]
    (metadata / "entry_points.txt").write_text("\n".join(["[polyserve.adapters]", *points]))
    OTHERS.update(child.pid for child in descendants())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield


Make = Callable[..., WorkerPool]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """make(adapter, what to do while loading, count=1, and the spec's fields): workers that are not started yet."""
    pools: list[WorkerPool] = []

    def make(adapter: str = "odd", load: str = "", count: int = 1, **more: object) -> WorkerPool:
        folder = tmp_path / adapter
        folder.mkdir(exist_ok=True)
        (folder / "model.txt").write_text(load)
        job = WorkerModel(adapter, ModelDir(folder, tmp_path, name="odd-one"), "model.txt", {})
        pools.append(WorkerPool(WorkerSpec("odd-one", job, **more), count))  # type: ignore[arg-type]
        return pools[-1]

    before = ME.num_fds()
    yield make
    for pool in pools:
        pool.kill()
    wait_for(lambda: not workers(), "the workers' end")
    wait_for(lambda: ME.num_fds() <= before, "descriptors to be closed")


def workers() -> set[int]:
    """The workers' processes, and whatever they started; not what other tests have left to end by itself."""
    return {child.pid for child in descendants()} - OTHERS


def gone(pid: int) -> bool:
    try:
        return not alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return True
