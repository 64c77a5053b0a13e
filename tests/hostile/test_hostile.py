"""Whatever a model tries while it is loaded: it is refused with a reason, nothing runs, and the next model loads."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.base import LoadError, ModelDir, Trust
from server.catalog import Found
from server.loader import Loader
from server.workers.trial import TrialPool
from tests.cases import sklearn_logistic
from tests.hostile import archives, folders, oddities, pickled
from tests.hostile.kit import Hostile

pytestmark = pytest.mark.slow  # with torch, transformers and spaCy: a minute

LEVELS = (Trust.SAFE, Trust.PICKLE, Trust.CODE)

#: seconds that a refusal may take
PATIENCE = 60

CORPUS = dict([*pickled.corpus(), *archives.corpus(), *folders.corpus(), *oddities.corpus()])


class Loading:
    """Loaders of every level over one pool of trial processes, and a sound model."""

    def __init__(self, trials: TrialPool, sound: Path) -> None:
        may_import = threading.Event()
        may_import.set()
        self.loaders = {level: Loader(trials, may_import, allowed=level) for level in LEVELS}
        self.sound = sound

    def load(self, folder: Path, level: Trust) -> str:
        """The reason why a folder is not served, or ""."""
        begun = time.monotonic()
        try:
            self.loaders[level].load(Found(folder.name, ModelDir.of(folder, folder.parent))).adapter.close()
        except LoadError as error:
            return str(error) or "no reason"
        finally:
            assert time.monotonic() - begun < PATIENCE
        return ""


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loading]:
    trials = TrialPool(1, 30.0)
    sound = tmp_path_factory.mktemp("sound")
    sklearn_logistic(sound)
    yield Loading(trials, sound)
    trials.close()


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
    for level in LEVELS:
        reason = loading.load(folder, level)
        assert not mark.exists(), (level, reason)
        assert reason or not hostile.why, level
    assert re.search(hostile.why, reason), reason
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    assert loading.load(loading.sound, Trust.PICKLE) == ""
