"""Where models run, and that nobody can tell from their answers: real models in process and in workers."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters.base import LoadError, Match, ModelDir, Rank, Traits, Trust
from adapters.registry import Choice
from adapters.spacy_.without_torch import OWN_PROCESS
from server.config.model_config import ModelConfig
from server.errors import NotReady
from server.inference.batching.queue import Limits
from server.loading.catalog import scan
from server.loading.loader import Loaded, Loader
from server.repository.repository import Repository, State
from server.runtime.sandbox.sandbox import Sandbox
from server.workers.adapter import RemoteAdapter, pool_of
from server.workers.placement import WorkerPlacement
from server.workers.worker_pool import BackOff
from tests.cases import CASES, Case
from tests.patience import wait_for
from tests.server.workers.conftest import workers
from tests.shared import Shared

CHOICE = Choice(registry.get("sklearn"), Match(Rank.CONTENT, "model.joblib"))
CUSTOM = Choice(registry.get("custom"), Match(Rank.CODE, trust=Trust.CODE))


@pytest.mark.parametrize(
    ("server", "model", "expected"),
    [("auto", None, False), ("process", None, True), ("auto", "process", True), ("process", "none", False)],
)
def test_settings_of_the_server_and_of_the_model(server: Any, model: Any, expected: bool) -> None:
    assert WorkerPlacement(server).wants(CHOICE, ModelConfig(isolation=model)) is expected


ALONE = {OWN_PROCESS: "true"}  #: what every worker is told: it serves nothing else


def test_what_workers_are_told_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generation = Choice(registry.get("generation"), Match(Rank.BUNDLE))
    told = WorkerPlacement(converted_dir=tmp_path, memory_budget=1000)._environment(generation)
    assert told == ALONE | {"POLYSERVE_CONVERTED_DIR": str(tmp_path), "POLYSERVE_MEMORY_BUDGET": "1000"}
    assert WorkerPlacement(memory_budget=1000)._environment(CHOICE) == ALONE | {"POLYSERVE_MEMORY_BUDGET": "1000"}
    assert WorkerPlacement()._environment(CHOICE) == ALONE
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    converted = {"POLYSERVE_CONVERTED_DIR": str(tmp_path / "converted")}
    assert WorkerPlacement()._environment(generation) == ALONE | converted


def test_what_has_to_be_in_a_process() -> None:
    workers = WorkerPlacement()
    needing = Choice(CHOICE.adapter, Match(Rank.CONTENT, "model.joblib", requirements="scikit-learn==1.5.2"))
    assert workers.wants(CUSTOM, ModelConfig())
    assert workers.wants(needing, ModelConfig())
    assert workers.wants(CHOICE, ModelConfig(workers=2))
    assert workers.wants(CHOICE, ModelConfig(memory_limit=2**30))
    for choice, config, why in (
        (CUSTOM, ModelConfig(isolation="none"), "runs code that came with the model"),
        (needing, ModelConfig(isolation="none"), "requirements of its own"),
        (CHOICE, ModelConfig(isolation="none", workers=2), "workers are processes"),
        (CHOICE, ModelConfig(isolation="none", memory_limit=2**30), "memory_limit is about a process"),
    ):
        with pytest.raises(LoadError, match=f"isolation: none is not possible: .*{why}"):
            workers.wants(choice, config)


def test_language_models_are_in_a_process_whatever_the_server_says() -> None:
    choice = Choice(registry.get("generation"), Match(Rank.BUNDLE))
    assert WorkerPlacement("none").wants(choice, ModelConfig())
    with pytest.raises(LoadError, match="takes long and much memory"):
        WorkerPlacement().wants(choice, ModelConfig(isolation="none"))


def test_native_programs_are_in_a_process_unless_the_server_trusts_them() -> None:
    native = Choice(registry.get("torch"), Match(Rank.CONTENT, "model.pt", carries="calls native operators"))
    assert WorkerPlacement().wants(native, ModelConfig())
    with pytest.raises(LoadError, match="isolation: none is not possible: it calls native operators"):
        WorkerPlacement().wants(native, ModelConfig(isolation="none"))
    trusting = WorkerPlacement("none")
    assert not trusting.wants(native, ModelConfig())
    assert trusting.wants(native, ModelConfig(isolation="process"))
    assert trusting.wants(CUSTOM, ModelConfig())
    carrying = Choice(registry.get("tensorflow"), Match(Rank.BUNDLE, trust=Trust.CODE, carries="has operations"))
    assert trusting.wants(carrying, ModelConfig())


# --- real models ------------------------------------------------------------------------------------------------------

CHOSEN = [case for case in CASES if case.name.startswith(("sklearn", "xgboost", "lightgbm", "onnx"))]


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory, shared: Shared) -> Path:
    root = tmp_path_factory.mktemp("mount")
    for case in CHOSEN:
        shared.copy(case, root / case.name)
    return root


@pytest.fixture
def load(mount: Path) -> Iterator[Callable[..., Loaded]]:
    """load(name, isolation): one of the models."""
    found = {each.name: each for each in scan(mount, None).found}
    may_import = threading.Event()
    may_import.set()
    placements: list[WorkerPlacement] = []

    def load(name: str, isolation: Any) -> Loaded:
        placements.append(WorkerPlacement(isolation))
        return Loader(None, may_import, workers=placements[-1]).load(found[name])

    yield load
    for placement in placements:
        placement.kill()
    wait_for(lambda: not workers())


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)
@pytest.mark.slow
def test_a_worker_answers_to_the_bit_what_the_model_answers_here(load: Callable[..., Loaded], case: Case) -> None:
    here, there = load(case.name, "auto"), load(case.name, "process")
    assert not isinstance(here.adapter, RemoteAdapter)
    assert isinstance(there.adapter, RemoteAdapter)
    assert there.adapter.signature == here.adapter.signature
    assert (there.adapter.name, there.adapter.platform) == (here.adapter.name, here.adapter.platform)
    assert there.adapter.traits == Traits(batchable=there.batchable)  # each worker has one call at a time
    assert there.adapter.pool.count == 1
    example = here.adapter.example()
    assert all(np.array_equal(array, there.adapter.example()[name]) for name, array in example.items())
    wanted, got = here.adapter.predict(example, {}), there.adapter.predict(example, {})
    assert wanted.keys() == got.keys()
    for name in wanted:
        assert wanted[name].dtype == got[name].dtype
        assert wanted[name].shape == got[name].shape
        if wanted[name].dtype == np.object_:
            assert wanted[name].tolist() == got[name].tolist()
        else:
            assert wanted[name].tobytes() == got[name].tobytes()


def test_a_refusal_in_a_worker_is_the_reason(load: Callable[..., Loaded], mount: Path) -> None:
    name = CHOSEN[0].name
    damaged = mount / "damaged"
    shutil.copytree(mount / name, damaged)
    try:
        for file in damaged.iterdir():
            file.write_bytes(file.read_bytes()[:-100])
        loader = Loader(None, threading.Event(), workers=WorkerPlacement("process"))
        with pytest.raises(LoadError):
            loader.load(next(each for each in scan(mount, None).found if each.name == "damaged"))
    finally:
        shutil.rmtree(damaged)


def test_the_interpreter_is_asked_for_with_what_it_takes(mount: Path) -> None:
    asked = []

    def python_for(model_name: str, requirements: str, directory: ModelDir) -> Path:
        asked.append((model_name, requirements, directory.path.name))
        raise LoadError("no environment can be made of it")

    name = CHOSEN[0].name
    found = next(each for each in scan(mount, None).found if each.name == name)
    with pytest.raises(LoadError, match="no environment can be made of it"):
        Loader(None, threading.Event(), workers=WorkerPlacement("process", python_for=python_for)).load(found)
    assert asked == [(name, "", name)]


# --- what the repository tells ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_dead_worker_shows_and_the_model_comes_back(
    mount: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()  # its successor does not come before we have
    monkeypatch.setattr(BackOff, "pause", lambda *_: 0.0 if looked.wait(60) else 60.0)
    shutil.copytree(mount / CHOSEN[0].name, tmp_path / "it")
    (tmp_path / "it" / "polyserve.yaml").write_text("isolation: process\n")
    placement = WorkerPlacement()
    with ThreadPoolExecutor(4) as executor:
        loader = Loader(None, threading.Event(), workers=placement)
        repository = Repository(scan(tmp_path, None), loader, executor, Limits(), "all")
        repository.first_scan(loader.begin(scan(tmp_path, None).found, 1), lambda: None)
        wait_for(lambda: repository.scanned)
        model = repository.ready_model("it")
        pool = pool_of(model.adapter)
        assert pool is not None
        assert repository.why_not_ready() == ""
        (pid,) = (process.pid for process in pool._serving)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: pool.down)
        entry = repository.index()[0]
        assert entry["state"] == State.UNAVAILABLE
        assert "was killed (SIGKILL)" in entry["reason"]
        assert repository.index(ready=True) == []
        assert "it: the worker was killed" in repository.why_not_ready()
        assert repository.metrics._states()["it"][0] == "UNAVAILABLE"
        with pytest.raises(NotReady, match="'it' is not ready: the worker was killed"):
            repository.get_model("it")
        looked.set()
        wait_for(lambda: not pool.down)
        assert repository.index()[0] == {"name": "it", "version": "", "state": "READY", "reason": ""}
        assert repository.ready_model("it") is model
        assert repository.metrics.of("it").restarts == 1
        repository.unload("it")
        wait_for(lambda: not workers())
        assert repository.index()[0]["reason"] == "unloaded"
    placement.kill()


def test_who_is_shut_in_a_sandbox_is_shown_no_secret_that_he_asks_for(tmp_path: Path) -> None:
    placement = WorkerPlacement(sandbox=Sandbox(confines=True))
    asks = ModelConfig(pass_env=("HF_TOKEN",), isolation="process")
    with pytest.raises(LoadError, match=r"polyserve.yaml: pass_env is not possible with --sandbox"):
        placement.load(ModelDir.of(tmp_path), CHOICE, {}, asks)
