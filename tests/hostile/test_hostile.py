"""Whatever a model tries while it is loaded: it is refused with a reason, nothing runs, and the next model loads."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.base import LoadError, ModelDir, Trust
from server.loading.catalog import Found
from server.loading.loader import Loader
from server.loading.trial.pool import TrialPool
from server.workers.placement import WorkerPlacement
from tests.cases import sklearn_logistic
from tests.hostile import archives, folders, oddities, pickled, programs
from tests.hostile.kit import Hostile

pytestmark = pytest.mark.slow  # with torch, transformers and spaCy: a minute

LEVELS = (Trust.SAFE, Trust.PICKLE, Trust.CODE)

CORPUS = dict([*pickled.corpus(), *archives.corpus(), *folders.corpus(), *programs.corpus(), *oddities.corpus()])
#: for these the level between is another one; for all others it is as `safe`, and each load of torch's is a process
OF_PICKLES = frozenset(dict([*pickled.corpus(), *oddities.corpus()]))
CODE = dict(programs.code())
NESTED = dict(pickled.nested())


class Loading:
    """Loaders of every level over one pool of trial processes, and a sound model."""

    def __init__(self, trials: TrialPool, workers: WorkerPlacement, sound: Path) -> None:
        may_import = threading.Event()
        may_import.set()
        self.loaders = {level: Loader(trials, may_import, allowed=level, workers=workers) for level in LEVELS}
        self.sound = sound

    def load(self, folder: Path, level: Trust) -> str:
        """The reason why a folder is not served, or ""."""
        try:
            self.loaders[level].load(Found(folder.name, ModelDir.of(folder, folder.parent))).adapter.close()
        except LoadError as error:
            return str(error) or "no reason"
        return ""


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loading]:
    trials, workers = TrialPool(1, 30.0), WorkerPlacement(load_timeout=60.0)
    sound = tmp_path_factory.mktemp("sound")
    sklearn_logistic(sound)
    yield Loading(trials, workers, sound)
    trials.close()
    workers.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mount" / "model"
    made.mkdir(parents=True)
    return made


@pytest.mark.parametrize("name", CORPUS)
def test_it_is_refused_and_nothing_runs(name: str, folder: Path, tmp_path: Path, loading: Loading) -> None:
    hostile: Hostile = CORPUS[name]
    mark = tmp_path / "mark"
    hostile.make(folder, mark)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for level in LEVELS if name in OF_PICKLES else (Trust.SAFE, Trust.CODE):
        reason = loading.load(folder, level)
        assert not mark.exists(), (level, reason)
        assert reason or not hostile.why, level
    assert re.search(hostile.why, reason), reason
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    assert loading.load(loading.sound, Trust.PICKLE) == ""


@pytest.mark.parametrize("name", CODE)
def test_code_runs_under_the_level_code_alone_and_in_a_process_of_its_own(
    name: str, folder: Path, tmp_path: Path, loading: Loading
) -> None:
    mark = tmp_path / "mark"
    CODE[name](folder, mark)
    for level in (Trust.SAFE, Trust.PICKLE):
        assert f"the server runs with --trust={level.name.lower()}" in loading.load(folder, level)
        assert not mark.exists(), level
    loading.load(folder, Trust.CODE)
    assert int(mark.read_text()) != os.getpid()
    assert loading.load(loading.sound, Trust.PICKLE) == ""


@pytest.mark.parametrize("level", [Trust.SAFE, Trust.PICKLE])
def test_requirements_are_not_installed_below_the_level_code(folder: Path, loading: Loading, level: Trust) -> None:
    sklearn_logistic(folder)
    (folder / "requirements.txt").write_text("./evil\n")
    assert "would install packages" in loading.load(folder, level)


@pytest.mark.parametrize("level", LEVELS)
def test_no_nested_or_crafted_pickle_runs(tmp_path: Path, loading: Loading, level: Trust) -> None:
    mark = tmp_path / "mark"
    for number, (name, make) in enumerate(NESTED.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder, mark)
        assert loading.load(folder, level), name
        assert not mark.exists(), name
