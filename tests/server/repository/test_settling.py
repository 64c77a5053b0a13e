"""When a folder counts as whole: by what was seen, not by a clock that runs while nobody looks."""

from __future__ import annotations

import time

import pytest

from server.loading.files import FolderStamp
from server.repository.settling import MOST_PATIENCE, Settling, WatchedFolder

SETTLE = 2.0
WRITTEN = 1_000_000.0  #: seconds since the epoch


class Looks:
    """Looks at one folder, every `interval` seconds of a clock of our own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, interval: float, *, same_clock: bool = True) -> None:
        self.clock = WRITTEN
        monkeypatch.setattr(time, "time", lambda: self.clock)
        self.interval = interval
        self.settling = Settling(SETTLE, same_clock=same_clock)
        self.folder: WatchedFolder | None = None

    def look(self, stamp: FolderStamp | None = None, halt: float = 0.0, took: float = 0.0) -> bool:
        """Whether it is settled after a wait and a look that sees this, if it is new."""
        self.clock += self.interval + halt
        self.settling.waited(self.interval, self.interval + halt)
        self.clock += took
        self.settling.looked(took)
        if self.folder is None:
            self.folder = WatchedFolder(stamp, self.settling.now)
        if stamp is not None:
            self.settling.note(self.folder, stamp)
        return self.settling.is_settled(self.folder)

    def until_settled(self, **each: float) -> int:
        """How many looks it takes."""
        return next(count for count in range(1, 2000) if self.look(None, **each))


def written(at: float) -> FolderStamp:
    return FolderStamp({}, newest=at)


def looks(monkeypatch: pytest.MonkeyPatch, interval: float = 0.25, *, same_clock: bool = True) -> Looks:
    return Looks(monkeypatch, interval, same_clock=same_clock)


def test_it_is_seen_unchanged_for_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    at = looks(monkeypatch)
    assert not at.look(written(at.clock + 0.25))
    assert at.until_settled() == 8
    assert not at.look(written(at.clock + 0.25))
    assert at.until_settled() == 8


@pytest.mark.parametrize("interval", [0.25, SETTLE, 3 * SETTLE])
@pytest.mark.parametrize("halt", [SETTLE, 1000.0])
def test_a_halt_makes_nothing_whole(monkeypatch: pytest.MonkeyPatch, interval: float, halt: float) -> None:
    """The writer may have stood still as long, and be about to go on."""
    at = looks(monkeypatch, interval)
    at.look(written(at.clock + interval))
    assert not at.look(None, halt=halt)
    assert not at.look(written(at.clock - halt), halt=halt)


@pytest.mark.parametrize(("interval", "most"), [(0.25, 8), (SETTLE, 2)])
def test_a_machine_that_always_halts_gets_there(monkeypatch: pytest.MonkeyPatch, interval: float, most: int) -> None:
    at = looks(monkeypatch, interval)
    at.look(written(at.clock + interval))
    assert at.until_settled(halt=50.0) == most


def test_slow_looks_count_for_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for first in a look, and last in the one before, was seen closer together than the looks ended."""
    at = looks(monkeypatch)
    at.look(written(at.clock + 0.25), took=60.0)
    assert not at.look(None, took=60.0)
    assert at.until_settled(took=60.0) == 3


@pytest.mark.parametrize(
    ("age", "same_clock", "more"), [(SETTLE, True, 0), (SETTLE / 2, True, 4), (SETTLE, False, 8), (-SETTLE, True, 8)]
)
def test_its_files_say_since_when(monkeypatch: pytest.MonkeyPatch, age: float, same_clock: bool, more: int) -> None:
    """A folder that was made ready elsewhere and renamed is taken at once, where the files' clock is ours."""
    at = looks(monkeypatch, same_clock=same_clock)
    settled = at.look(written(at.clock + 0.25 - age))
    assert (0 if settled else at.until_settled()) == more


def test_who_changes_while_it_is_loaded_waits_longer_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    at = looks(monkeypatch)
    at.look(written(0.0))
    assert at.folder is not None
    told = []
    for _ in range(MOST_PATIENCE + 2):
        at.folder.busy += 1
        assert not at.look()
        told.append(at.settling.loaded(at.folder, again=True))
        assert at.until_settled() == 8 * 2**at.folder.patience
    assert at.folder.patience == MOST_PATIENCE
    assert told == [number == 2 for number in range(MOST_PATIENCE + 2)]
    at.folder.busy += 1
    assert not at.settling.loaded(at.folder, again=False)
    at.look(written(at.clock + 0.25))
    assert at.until_settled() == 8
