"""Damaged SavedModels, each through the trial process: a clear reason, and the next model is tried none the worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir
from server.loading.trial.pool import Trial, TrialPool
from tests.adapters.tensorflow_ import models

pytestmark = pytest.mark.slow  # TensorFlow alone takes seconds to import


@pytest.fixture(scope="module")
def trials() -> Iterator[TrialPool]:
    pool = TrialPool(1, 120)
    yield pool
    pool.close()


def tried(trials: TrialPool, folder: Path) -> Trial:
    directory = ModelDir.of(folder)
    choice = registry.choose(directory)
    return trials.try_load(choice.adapter.name, directory.path, directory.root, choice.match.file, {})


def cut(folder: Path, name: str, keep: float) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * keep)])


def flip(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / name).write_bytes(bytes(data))


PB, INDEX, DATA = "saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"

DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty graph file": (lambda folder: cut(folder, PB, 0), "saved_model.pb is empty"),
    "graph cut early": (lambda folder: cut(folder, PB, 0.1), "saved_model.pb is truncated or damaged"),
    "graph cut late": (lambda folder: cut(folder, PB, 0.95), "saved_model.pb is truncated or damaged"),
    "not a graph": (lambda folder: (folder / PB).write_bytes(b"hello, world"), "saved_model.pb is"),  # type: ignore[dict-item, return-value]
    "only a version": (lambda folder: (folder / PB).write_bytes(b"\x08\x01\x12\x00"), "TensorFlow SavedModel"),  # type: ignore[dict-item, return-value]
    "no index": (lambda folder: (folder / INDEX).unlink(), "variables.index is missing: copy the variables folder"),
    "index cut": (lambda folder: cut(folder, INDEX, 0.5), "TensorFlow cannot load"),
    "no data": (lambda folder: (folder / DATA).unlink(), "TensorFlow cannot load"),
    "data cut": (lambda folder: cut(folder, DATA, 0.5), "TensorFlow cannot load"),
    "data flipped": (lambda folder: flip(folder, DATA), "TensorFlow cannot load"),
    "as text": (lambda folder: (folder / PB).rename(folder / "saved_model.pbtxt"), "SavedModel as text"),  # type: ignore[dict-item, return-value]
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_model_says_what_is_wrong(trials: TrialPool, tmp_path: Path, name: str) -> None:
    damage, reason = DAMAGES[name]
    damage(models.everything(tmp_path / "m"))
    with pytest.raises(LoadError) as error:
        tried(trials, tmp_path / "m")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_a_sound_model_passes(trials: TrialPool, tmp_path: Path) -> None:
    trial = tried(trials, models.half_plus_two(tmp_path / "1"))
    assert trial.batchable
    assert not trial.example_error
