"""What times a new user's first minute: its table, and what it waits for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import first_minute
from tests.docs.first_minute import line_of, table, timed, typed_in, waits_for


def test_a_row_is_what_was_typed_its_seconds_and_the_first_line() -> None:
    typed, seconds, printed = timed("`x`", lambda: "a | b\nc")
    assert seconds >= 0
    rows = table([(typed, 1.25, printed), ("`y`", 2, "")]).splitlines()[2:]
    assert rows == ["| `x` | 1.2 | `a \\| b` |", "| `y` | 2.0 |  |"]


def test_it_waits_for_what_it_means_to_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_text("one\niris: made in 1 s\n")
    assert waits_for(lambda: line_of(tmp_path / "log", ": made in")) == "iris: made in 1 s"
    monkeypatch.setattr(first_minute, "_PATIENCE", 0.0)
    with pytest.raises(TimeoutError):
        waits_for(lambda: line_of(tmp_path / "log", "gone"))
    assert typed_in(tmp_path, "cat log | head -1") == "one\n"
