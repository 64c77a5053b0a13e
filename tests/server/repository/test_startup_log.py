"""What the log says of the first scan."""

from __future__ import annotations

from pathlib import Path

from adapters.base import ModelDir
from server.loading.catalog import Found
from server.repository.startup_log import FEW, summary
from server.repository.state import ModelState, State


def _entry(name: str, state: State = State.READY, reason: str = "", version: str = "") -> ModelState:
    found = Found(name, ModelDir.of(Path(__file__).parent), version=version)
    return ModelState(found, state, reason, None, 1.25, 3 * 2**20)


def test_few_models_have_a_line_each_in_columns() -> None:
    lines = summary([_entry("iris"), _entry("spam", State.UNAVAILABLE, "it is\nbroken", "12")], 3.21).splitlines()
    assert lines[0].startswith("2 models tried in 3.2 s: 1 unavailable, 1 ready; ")
    assert lines[1].split() == ["name", "version", "seconds", "memory", "state"]
    assert lines[2].split() == ["iris", "1.25", "3.0", "MiB", "READY"]
    assert lines[3].endswith("UNAVAILABLE: it is broken")
    assert lines[2].index("READY") == lines[3].index("UNAVAILABLE") == lines[1].index("state")


def test_many_models_are_counted_and_only_those_in_trouble_shown() -> None:
    entries = [_entry(f"m{number}") for number in range(1000)]
    assert len(summary(entries, 60).splitlines()) == 1
    lines = summary([*entries, _entry("spam", State.UNAVAILABLE, "broken")], 60).splitlines()
    assert len(lines) == 3
    assert "1001 models" in lines[0]
    assert "1000 ready" in lines[0]
    assert "spam" in lines[2]


def test_the_table_stays_short_however_many_fail_and_why() -> None:
    text = summary([_entry(f"m{number}", State.UNAVAILABLE, "x" * 5000) for number in range(1000)], 60)
    assert len(text.splitlines()) == 1 + 1 + FEW + 1
    assert "and 980 more" in text
    assert max(map(len, text.splitlines())) < 160
