"""The scan of a pickle and its loader over pickles composed at random: they agree, and nothing forbidden passes."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest

from adapters.base import LoadError
from adapters.formats.pickles import Refused, inspect, load
from tests.fuzz.pickles import FORBIDDEN, Composer, watched

pytestmark = pytest.mark.filterwarnings("ignore:Trying to unpickle")

SEEDS = range(8)
PICKLES = 60


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sound_pickle_passes_both(seed: int, tmp_path: Path) -> None:
    path, random_ = tmp_path / "model.pkl", random.Random(seed)
    for _ in range(PICKLES):
        path.write_bytes(Composer(random_, hostile=False).pickle())
        found = inspect(path)
        assert not found.refused, (found.refused, path.read_bytes())
        with watched() as acts:
            model = load(path)
        assert f"{type(model).__module__}.{type(model).__qualname__}" == found.top
        assert acts == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_forbidden_name_is_found_by_both_wherever_it_is(seed: int, tmp_path: Path) -> None:
    path, random_ = tmp_path / "model.pkl", random.Random(seed)
    for _ in range(PICKLES):
        composer = Composer(random_, hostile=True)
        path.write_bytes(composer.pickle())
        assert composer.forbidden
        assert inspect(path).refused, path.read_bytes()
        with watched() as acts, pytest.raises(Refused):
            load(path)
        assert acts == []


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_ones_do_nothing_and_are_refused_by_both(seed: int, tmp_path: Path) -> None:
    """What the scan refuses, the loader refuses; the other way round it need not be: it sees values."""
    path, random_ = tmp_path / "model.pkl", random.Random(seed)
    for _ in range(PICKLES):
        content = bytearray(Composer(random_, hostile=random_.random() < 0.5).pickle())
        for _ in range(random_.randint(1, 4)):
            content[random_.randrange(2, len(content))] = random_.randrange(256)
        path.write_bytes(content)
        scanned = False
        with suppress(LoadError):
            scanned = not inspect(path).refused
        loaded = False
        with watched() as acts, suppress(LoadError):
            load(path)
            loaded = True
        assert acts == []
        assert scanned or not loaded, bytes(content)


def test_the_watch_sees(tmp_path: Path) -> None:
    with watched() as acts:
        exec("1")
    assert acts == ["exec"]
    assert len(FORBIDDEN) > 20
