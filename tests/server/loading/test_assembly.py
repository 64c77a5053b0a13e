"""What loads models is put together as the settings want it, and begins and ends together."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import Trust
from server.config.settings import Settings
from server.loading.assembly import Assembly
from server.loading.catalog import NoModelDir
from server.loading.memory_budget import Demand, NotInMemory
from server.loading.trial.pool import TrialPool
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model.echo").write_text("echo")
    return tmp_path


def assembly(mount: Path, *flags: str) -> Assembly:
    return Assembly.of(Settings.parse([f"--model_dir={mount}", *flags], {}))


def test_models_are_loaded_once_this_process_may_import(mount: Path) -> None:
    parts = assembly(mount, "--trial=false")
    loading = parts.begin()
    assert not loading["a", ""].done()
    parts.allow_imports()
    assert isinstance(loading["a", ""].result(60).adapter, EchoAdapter)
    parts.close()


def test_lazy_loading_only_looks(mount: Path) -> None:
    parts = assembly(mount, "--trial=false", "--load=lazy")
    assert parts.unrequested is Demand.LOOK
    assert isinstance(parts.begin()["a", ""].exception(60), NotInMemory)
    parts.close()


def test_the_settings_reach_their_parts(mount: Path) -> None:
    parts = assembly(mount, "--trust=pickle", "--memory_budget=1GiB", "--isolation=process", "--load_threads=3")
    assert parts.loader.recogniser._allowed is Trust.PICKLE
    assert parts.loader.budget.limit == 2**30
    assert parts.workers.isolation == "process"
    assert parts.threads == 3
    assert parts.unrequested is Demand.TRY
    assert isinstance(parts.trials, TrialPool)
    parts.rest_trials()
    parts.close()


def test_without_trials_there_is_nothing_to_end(mount: Path) -> None:
    parts = assembly(mount, "--trial=false")
    assert parts.trials is None
    parts.end_trials()
    parts.rest_trials()
    parts.close()


def test_a_mount_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NoModelDir, match="does not exist"):
        assembly(tmp_path / "none")
