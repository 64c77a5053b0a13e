"""What the log says of the first scan."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from adapters.base import ModelDir
from server.loading.catalog import Found
from server.repository import startup_log
from server.repository.startup_log import FEW, summary
from server.repository.state import ModelState, State
from tests.patience import wait_for


def _entry(name: str, state: State = State.READY, reason: str = "", version: str = "") -> ModelState:
    found = Found(name, ModelDir.of(Path(__file__).parent), version=version)
    return ModelState(found, state, reason, None, 1.25, 3 * 2**20)


def test_a_good_start_is_one_line() -> None:
    assert summary([_entry("iris"), _entry("spam")], 3.21) == "2 models tried in 3.2 s: 2 ready; 0.0 MiB"
    assert summary([_entry("iris")], 3.21) == "1 model tried in 3.2 s: 1 ready; 0.0 MiB"


def test_who_is_not_served_is_named_and_where_to_ask_why() -> None:
    line = summary([_entry("iris"), _entry("spam", State.UNAVAILABLE, "it is\nbroken", "12")], 3.21)
    assert line.startswith("2 models tried in 3.2 s: 1 unavailable, 1 ready; ")
    assert line.endswith("; not served: spam version 12 (POST /v2/repository/index tells why)")


def test_the_line_stays_short_however_many_fail_and_why() -> None:
    text = summary([_entry(f"m{number}", State.UNAVAILABLE, "x" * 5000) for number in range(1000)], 60)
    assert "\n" not in text
    assert "m9 and 990 more (" in text
    assert len(text) < 200


def test_models_that_make_room_for_others_are_served() -> None:
    assert "not served" not in summary([_entry("iris", State.EVICTED, "nobody asked for it yet")], 1)


@pytest.mark.parametrize(("total", "level"), [(FEW, logging.DEBUG), (FEW + 1, logging.INFO)], ids=["few", "many"])
def test_progress_is_told_where_models_have_no_lines_of_their_own(
    total: int, level: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup_log, "EVERY", 0.01)
    with caplog.at_level(logging.DEBUG, "kserve"):
        scan = startup_log.ScanLog(total, lambda: [_entry("iris", State.LOADING), _entry("spam")])
        wait_for(lambda: bool(caplog.records))
        scan.finish()
    assert caplog.records[0].getMessage() == "loading: 1 of 2 models, 0 failed"
    assert caplog.records[0].levelno == level
