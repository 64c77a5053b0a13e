"""What a container's files say of its processor's time, and how starts are shown; starts need an engine, by hand."""

from __future__ import annotations

import pytest

from bench.cold_starts import Start, median, processor_seconds


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [("usage_usec 2500000\nuser_usec 2000000\n", 2.5), ("2500000000\n", 2.5), ("", 0.0)],
    ids=["version 2", "version 1", "neither"],
)
def test_both_kinds_of_control_groups_tell_it(usage: str, seconds: float) -> None:
    assert processor_seconds(usage) == seconds


def test_a_cell_is_the_median_of_what_started() -> None:
    assert median([Start(3.0, 2.0), None, Start(1.0, 1.5), Start(9.0, 1.0)]) == "3.0 s (1.5)"
    assert median([Start(0.5)]) == "0.5 s"
    assert median([None]) == "–"
